// Platform.spec: cluster, pools and storage.
#include <array>

#include "spec/tables.hpp"

namespace tg::spec {

namespace {

using namespace rows;
using T = Type;

constexpr auto kCluster = std::to_array<Row>({
    row("spec.cluster", T::object, "The Kubernetes cluster."),
    row("spec.cluster.name", T::label, "Name of the cluster.")
        .else_("the Platform's name")
        .meets("S0-10 S3-38"),
    row("spec.cluster.version", T::version, "Minor version of Kubernetes; the release pins the patch.")
        .else_("1.35, on openTelekomCloud 1.34")
        .why("the newest that is inside the support window of every component")
        .meets("S1-09 S3-46 S4-93 F-58 F-101"),
    row("spec.cluster.endpoint", T::host_port, "Address of the API server that all nodes use.")
        .else_("the load balancer or the first control plane, port 6443")
        .meets("S4-26"),
    row("spec.cluster.controlPlane", T::object, "Size of the control plane."),
    row("spec.cluster.controlPlane.flavor", T::text, "Size of a managed control plane of openTelekomCloud.")
        .of("cce.s2.small")
        .why("the smallest with three masters")
        .meets("S0-11 F-70"),
    row("spec.cluster.controlPlane.replicas", T::integer, "Machines of a control plane of one's own.")
        .else_("3; with clusterApi on docker 1; on machines as many as the hosts say")
        .in("nodes")
        .from(1, 9)
        .meets("S3-45 F-109"),
    row("spec.cluster.networks", T::object,
        "Networks inside the cluster; none may overlap hosts, VPNs or peers."),
    row("spec.cluster.networks.plugin", T::choice, "What connects the pods.")
        .else_("calico; on k3s flannel; on clouds their own")
        .words("calico|flannel|overlay_l2|vpc-router|cloud")
        .meets("S3-22 S3-39 S4-29 F-07"),
    row("spec.cluster.networks.pods", T::cidr, "Addresses of pods.")
        .of("10.244.0.0/16")
        .meets("S3-41 S4-26 F-06"),
    row("spec.cluster.networks.services", T::cidr, "Addresses of services.")
        .of("10.96.0.0/16")
        .meets("S3-43"),
    row("spec.cluster.networks.domain", T::host, "Domain of services.").of("cluster.local").meets("S3-42"),
    row("spec.cluster.kubeconfig", T::object, "Access files that apply writes."),
    row("spec.cluster.kubeconfig.validFor", T::duration, "How long an issued one is good.")
        .of("7d")
        .why("a lost file is worth little after a week")
        .from(60 * kSeconds, 365 * kDays)
        .meets("S0-57 S0-102 F-78"),
    row("spec.cluster.audit", T::choice, "What the API server writes down of each request.")
        .of("metadata")
        .why("who did what, without the contents of Secrets")
        .words("none|metadata|request")
        .meets("S0-93"),
    row("spec.cluster.etcd", T::object, "Care of the store, on control planes of one's own."),
    row("spec.cluster.etcd.compaction", T::duration, "Age at which old revisions go.")
        .of("1h")
        .from(60 * kSeconds, 30 * kDays)
        .meets("S4-71 F-31"),
    row("spec.cluster.etcd.defragment", T::cron, "When freed space is given back, member by member.")
        .of("weekly")
        .words("daily|weekly|monthly|none")
        .meets("F-31"),
    row("spec.cluster.etcd.snapshots", T::object, "Copies of the store.").as("schedule").meets("S1-215 F-59"),
    row("spec.cluster.etcd.snapshots.schedule", T::cron, "When one is made.")
        .of("0 */6 * * *")
        .why("at most six hours of changes are lost"),
    row("spec.cluster.etcd.snapshots.keep", T::integer, "How many stay.")
        .of("28")
        .why("a week of four a day")
        .in("copies")
        .from(1, 10000),
    row("spec.cluster.encryptionAtRest", T::object, "Encryption of Secrets in the store.").as("provider"),
    row("spec.cluster.encryptionAtRest.provider", T::choice, "How they are encrypted.")
        .else_("kms on clouds, else secretbox")
        .words("secretbox|kms|aescbc")
        .meets("S4-74 S4-75 F-05"),
    row("spec.cluster.isolateSystem", T::boolean,
        "kube-system can be reached only for DNS, the API server, webhooks and scrapes.")
        .of("true")
        .why("whoever gets into kube-system has the cluster")
        .meets("S4-76 F-23"),
    row("spec.cluster.swap", T::choice, "Swap of the nodes, for small machines.")
        .of("none")
        .words("none|zram")
        .meets("S2-09 F-92"),
    row("spec.cluster.reserve", T::object, "What a node keeps for itself.").meets("S4-49 S4-88 F-11"),
    row("spec.cluster.reserve.system", T::resources, "For the operating system.")
        .else_("by the size of the node"),
    row("spec.cluster.reserve.kubelet", T::resources, "For kubelet and containerd.")
        .else_("by the size of the node"),
    row("spec.cluster.reserve.eviction", T::resources, "Free amounts below which pods are evicted.")
        .else_("memory.available 100Mi, nodefs.available 10%")
        .item(T::percent)
        .meets("S4-49 F-12"),

    row("spec.pools", T::map, "Groups of equal nodes.").else_("one pool that holds what is asked for"),
    row("spec.pools.*", T::object, "A pool, by its name."),
    row("spec.pools.*.instanceTypes", T::text_list,
        "Sizes of its machines; the first is preferred, more than one widen the choice of spot machines.")
        .else_("by the table of the region")
        .meets("S0-18 S2-27 S2-28 F-71"),
    row("spec.pools.*.os", T::text, "System image of its machines.")
        .else_("the cloud's for Kubernetes")
        .meets("S0-17 F-79"),
    row("spec.pools.*.count", T::count, "Number of nodes.").else_("3"),
    row("spec.pools.*.count.min", T::integer, "Never fewer.")
        .of("3")
        .why("one for each of three zones")
        .in("nodes")
        .from(0, 5000)
        .meets("S0-19 S1-10 S3-48 S3-85"),
    row("spec.pools.*.count.max", T::integer, "Never more.")
        .of("3")
        .in("nodes")
        .from(1, 5000)
        .meets("S3-49 S3-86"),
    row("spec.pools.*.spot", T::object, "Machines that the cloud may take back.").as("share").meets("S2-30"),
    row("spec.pools.*.spot.share", T::percent, "How much of the pool above the base they are.")
        .of("0%")
        .why("work that cannot be interrupted is the safe guess")
        .from(0, 1),
    row("spec.pools.*.spot.onDemandBase", T::integer, "Nodes that are never spot machines.")
        .of("0")
        .in("nodes")
        .from(0, 5000),
    row("spec.pools.*.disk", T::object, "Disk of a node.").as("size"),
    row("spec.pools.*.disk.size", T::quantity, "Its size.")
        .of("100Gi")
        .why("room for the images of several engines")
        .in("bytes")
        .from(kGi, 64 * kTi)
        .meets("S0-20 S0-22"),
    row("spec.pools.*.disk.type", T::text, "Its type, in the cloud's words.")
        .else_("the cloud's SSD")
        .meets("S0-21 S0-23"),
    row("spec.pools.*.gpu", T::object, "GPUs of a node; driver, label, taint and exporter follow.")
        .as("vendor")
        .meets("S2-28 F-71"),
    row("spec.pools.*.gpu.vendor", T::choice, "Their maker.").of("none").words("nvidia|none"),
    row("spec.pools.*.gpu.count", T::integer, "How many a node has.").of("1").in("GPUs per node").from(1, 16),
    row("spec.pools.*.labels", T::text_map, "Labels of its nodes; what is placed here selects them.")
        .else_("pool: NAME, and the vendor of GPUs")
        .keys(T::qualified)
        .item(T::label_value)
        .meets("S2-29 S4-47 F-94"),
    row("spec.pools.*.taints", T::text_list, "Taints of its nodes; what is placed here tolerates them.")
        .else_("nvidia.com/gpu=true:NoSchedule with GPUs, else none")
        .item(T::taint)
        .meets("S0-46 S2-29 S4-48 F-73"),
    row("spec.pools.*.class", T::label, "Worker class of Cluster API.").of("default-worker").meets("S3-47"),
    row("spec.pools.*.resources", T::resources, "What a node will have, announced to the autoscaler.")
        .else_("from the instance type")
        .meets("S3-50 S3-51 F-108"),
    row("spec.pools.*.localDisks", T::label, "Storage class that offers the machines' own disks.")
        .else_("none")
        .meets("S1-101"),
    row("spec.pools.*.reserve", T::object, "What a node of the pool keeps for itself.")
        .like("spec.cluster.reserve")
        .meets("S4-49 S4-88"),

    row("spec.storage", T::object, "Volumes."),
    row("spec.storage.classes", T::map, "Storage classes.")
        .else_("one default class on the cloud's SSD, or local-path")
        .meets("S1-07"),
    row("spec.storage.classes.*", T::object, "A class, by its name.").as("kind"),
    row("spec.storage.classes.*.kind", T::choice,
        "Fast disk of one node at a time, slow cheap disk, files for many nodes, or a node's own disk.")
        .must()
        .words("block|cold|shared|local")
        .meets("S1-99 S1-100 S1-101 S2-32 S4-52 F-74"),
    row("spec.storage.classes.*.iops", T::integer, "Operations a second of a volume.")
        .else_("what the type gives without a charge")
        .in("operations/s")
        .from(100, 260000)
        .meets("S1-97 S1-98 F-62"),
    row("spec.storage.classes.*.throughput", T::quantity, "Bytes a second of a volume.")
        .else_("what the type gives without a charge")
        .in("bytes/s")
        .from(kMi, 10 * kGi)
        .meets("F-62"),
    row("spec.storage.classes.*.default", T::boolean, "Claims without a class get this one.").of("false"),
    row("spec.storage.classes.*.reclaim", T::choice, "What becomes of a volume whose claim is deleted.")
        .of("Delete")
        .why("a forgotten volume costs; backups keep what matters")
        .words("Delete|Retain")
        .meets("S4-53 S4-54"),
    row("spec.storage.classes.*.dynamic", T::boolean,
        "A local volume is a directory made at each claim; without it each disk is one volume.")
        .of("false")
        .meets("S3-21"),
    row("spec.storage.classes.*.existing", T::boolean, "The class is there and only referred to.")
        .of("false"),
    row("spec.storage.classes.*.server", T::text, "NFS server of a shared class where no cloud offers one.")
        .else_("none"),
    row("spec.storage.classes.*.export", T::url_path, "Directory that the NFS server offers.").of("/"),
    row("spec.storage.snapshots", T::boolean, "Controller and classes for copies of volumes.")
        .else_("true where the driver can")
        .meets("S1-102 S1-216"),
});

}  // namespace

std::span<const rows::Row> platform_cluster_rows() { return kCluster; }

}  // namespace tg::spec
