// What the guides say that is wrong, dead or unsafe today, one line each: the reasons behind defaults that
// differ from theirs.
#include <algorithm>
#include <array>

#include "spec/requirements.hpp"

namespace tg::spec {

namespace {

// In the order of their numbers.
constexpr auto kOutdated = std::to_array<Outdated>({
    {"F-02", "the beta version of the horizontal autoscaler is gone: autoscaling/v2"},
    {"F-03", "PodSecurityPolicy is gone: levels are labels of the namespace"},
    {"F-04", "kfctl is archived: the community distribution, by kustomize"},
    {"F-05", "etcd has no encryption of its own: the API server encrypts"},
    {"F-06", "the pod network held the hosts' own network: overlaps are refused"},
    {"F-07", "Calico from an address without a version: a pinned release"},
    {"F-08", "driver 470 is past its end: the GPU operator brings a current one"},
    {"F-09", "nvidia-docker is superseded, and containerd never got the runtime: the container toolkit"},
    {"F-10", "device plugin 0.12 is of 2022: the one of the operator"},
    {"F-11", "reserves are texts: a bare number stops the kubelet"},
    {"F-12", "naming two eviction signals switched the others off: all are written"},
    {"F-13", "quotas count requests of devices only, never limits"},
    {"F-14", "a quota without defaults, and more replicas than GPUs: both are checked"},
    {"F-15", "the GPU exporter tolerated no taint of GPU nodes"},
    {"F-18", "the metric of the GPU alert does not exist: the exporter's own name"},
    {"F-20", "Fluentd never deletes old files by itself: a rotation does"},
    {"F-21", "namespaces have no label name: kubernetes.io/metadata.name"},
    {"F-23", "closing kube-system shut DNS off: its edges stay open"},
    {"F-25", "timeouts cut watches, and one load balancer is a single point of failure"},
    {"F-27", "an old Velero without node agent saved no volumes, in the cluster itself"},
    {"F-28", "MinIO's community edition is archived: a store of the provider or of one's own outside"},
    {"F-29", "upgrades on all nodes at once may restart containerd: held back, reboots one by one"},
    {"F-30", "kube-bench without a version, on workers only"},
    {"F-31", "compaction shrinks no file: defragmentation on a schedule"},
    {"F-32", "nothing enforces the size of a local volume, and its host's name must be that of the node"},
    {"F-33", "a role without a binding, and pods that could mount the host: both are rendered"},
    {"F-40", "ingress-nginx got its last release in March 2026"},
    {"F-41", "its limits count per controller and answer 503: the gateway's, with 429"},
    {"F-42", "its snippets for firewall and headers are dropped by default: typed objects"},
    {"F-43", "cert-manager 1.14 is out of support"},
    {"F-44", "the chart alone keeps 10 days in one copy: both are set"},
    {"F-45", "loki-distributed is deprecated: the one chart of Loki with its modes"},
    {"F-46", "a retention time deletes nothing without the compactor"},
    {"F-47", "Promtail ended in March 2026: Alloy"},
    {"F-49", "Gatekeeper lets pass what it cannot judge: it fails closed"},
    {"F-50", "Istio's operator is deprecated: its charts"},
    {"F-51", "sidecars need rights that restricted pods do not have: ambient, or the CNI plugin"},
    {"F-55", "default passwords and keys in a file of values: references and generated Secrets"},
    {"F-56", "receivers without a route, and PagerDuty's old interface"},
    {"F-57", "operator pages in public DNS without a login: only behind access.login"},
    {"F-58", "Kubernetes 1.28 is far past its end"},
    {"F-59", "snapshots beside the cluster that nobody ever restored"},
    {"F-60", "two autoscalers on one measure fight: the vertical one only recommends"},
    {"F-61", "default deny shuts the solvers of HTTP-01 out: they get an edge"},
    {"F-62", "operations a second are a parameter of each cloud, with bounds"},
    {"F-63", "the free images of Bitnami moved: operators"},
    {"F-70", "a machine's size is no size of a control plane"},
    {"F-71", "no node could hold the pod that the guide starts: pools with GPUs, sums are checked"},
    {"F-72", "a provider of an old release: the newest line, pinned by the lock file"},
    {"F-73", "a toleration is a list of maps, and must match the taint"},
    {"F-74", "a block volume is on one node at a time: many pods need a shared class"},
    {"F-75", "three paths for one chart: one"},
    {"F-76", "variables of Terraform configure no backend: it gets its own settings"},
    {"F-77", "a generated key pair lies in the state: a public key can be named"},
    {"F-78", "a kubeconfig for five years: a week"},
    {"F-79", "not every system goes with every version and network: a table is checked"},
    {"F-80", "the cloud's agent needs an annotation of the cluster"},
    {"F-81", "private nodes reach no registry without NAT"},
    {"F-82", "tfsec became a part of Trivy"},
    {"F-83", "tags of actions were moved: they are pinned by digest"},
    {"F-84", "Jaeger 1 ended in 2025: Jaeger 2, or Tempo"},
    {"F-90", "live passwords in a README: they are generated at apply"},
    {"F-91", "an installer piped into a shell: a pinned version with its checksum"},
    {"F-92", "everything on 4 GiB: the sums are shown and checked"},
    {"F-93", "Promtail once more: Alloy"},
    {"F-94", "labels and tolerations alone draw no pods: a selector does"},
    {"F-95", "administration from a pipeline over the internet: a short-lived token and a small role"},
    {"F-96", "the chart's defaults bring an engine, a store and a dummy key: they are switched off"},
    {"F-97", "a share of memory needs a limit to be measured against"},
    {"F-101", "Cluster API no longer makes clusters of 1.28"},
    {"F-102", "versions of Rancher, Turtles and Cluster API go together by a matrix"},
    {"F-103", "Rancher brings Turtles itself; only its providers are ours"},
    {"F-104", "a key in clear in a bundle: a reference"},
    {"F-105", "two malicious releases of LiteLLM: pinned by digest"},
    {"F-106", "a gateway without a master key is open to all"},
    {"F-107", "Knative aims at 100 requests a pod, and weights are fetched at each start"},
    {"F-108", "the autoscaler's annotations need their whole names"},
    {"F-109", "one control plane is a single point of failure: three unless said"},
    {"F-110", "large bundles hit the size limit of objects"},
    {"F-111", "the docker provider gives the root of the host away: for development"},
    {"F-112", "old host names of ngrok: a domain of one's own"},
});

}  // namespace

std::span<const Outdated> outdated() { return kOutdated; }

std::string_view outdated_text(std::string_view row) {
  const auto it =
      std::find_if(kOutdated.begin(), kOutdated.end(), [&](const Outdated& o) { return o.row == row; });
  return it == kOutdated.end() ? std::string_view{} : it->text;
}

}  // namespace tg::spec
