// Platform.spec: identity and infrastructure.
#include <array>

#include "spec/tables.hpp"

namespace tg::spec {

namespace {

using namespace rows;
using T = Type;

constexpr auto kGeneral = std::to_array<Row>({
    row("spec.domain", T::host, "Parent of the hosts that are published; needed as soon as one is.")
        .else_("none")
        .meets("S1-109 S1-158 S1-159"),
    row("spec.tags", T::text_map, "Put on every resource that can carry tags, and as labels.")
        .else_("none")
        .keys(T::qualified)
        .item(T::label_value)
        .meets("S0-05"),
    row("spec.contacts", T::object, "Who answers for the platform; stands in labels, alerts and the runbook.")
        .meets("S1-222"),
    row("spec.contacts.team", T::label, "Owner; label of objects and of alerts.")
        .else_("the Platform's name")
        .meets("S1-63"),
    row("spec.contacts.email", T::email, "Where mail for the team goes.")
        .else_("none")
        .meets("S1-109 S1-160"),
    row("spec.contacts.slack", T::text, "Channel of the team.").else_("none"),
    row("spec.contacts.issues", T::url, "Where problems are filed.").else_("none"),
    row("spec.contacts.docs", T::url, "Where the team's own pages are.").else_("none"),
});

constexpr auto kInfrastructure = std::to_array<Row>({
    row("spec.infrastructure", T::one_of, "Where the platform runs; one of them.")
        .must()
        .meets("S2-21 S3-05"),

    row("spec.infrastructure.openTelekomCloud", T::object,
        "Open Telekom Cloud with its Cloud Container Engine.")
        .like("spec.infrastructure.aws")
        .meets("S0-03 F-72"),
    row("spec.infrastructure.openTelekomCloud.account", T::object, "Identity of the project.").must(),
    row("spec.infrastructure.openTelekomCloud.account.domainName", T::given, "Name of the identity domain.")
        .must()
        .meets("S0-15"),
    row("spec.infrastructure.openTelekomCloud.account.tenantId", T::given,
        "Project in which everything is made.")
        .must()
        .meets("S0-16"),
    row("spec.infrastructure.openTelekomCloud.credentials", T::object,
        "Access key; a sensitive variable, never written to a file."),
    row("spec.infrastructure.openTelekomCloud.credentials.accessKey", T::secret_ref, "Where its name stands.")
        .else_("{env: TF_VAR_otc_access_key}")
        .meets("S0-07 S0-54"),
    row("spec.infrastructure.openTelekomCloud.credentials.secretKey", T::secret_ref,
        "Where its secret stands.")
        .else_("{env: TF_VAR_otc_secret_key}")
        .meets("S0-08 S0-54"),
    row("spec.infrastructure.openTelekomCloud.addons", T::object,
        "Services of the cloud's own in the cluster."),
    row("spec.infrastructure.openTelekomCloud.addons.icAgent", T::boolean,
        "Metrics of hosts and containers and logs of nodes, containers and standard output go to the cloud's "
        "own service.")
        .of("false")
        .why("the platform brings its own metrics and logs")
        .meets("S0-79 F-80"),

    row("spec.infrastructure.aws", T::object, "Amazon Web Services with its Elastic Kubernetes Service.")
        .meets("S1-15 S2-21 S2-22"),
    row("spec.infrastructure.aws.region", T::label, "Region of the cloud.").must().meets("S0-14"),
    row("spec.infrastructure.aws.zones", T::text_list, "Zones of the region to spread over.")
        .else_("three zones of the region")
        .item(T::label)
        .meets("S0-13 S2-22"),
    row("spec.infrastructure.aws.network", T::object, "The network that is made for the platform."),
    row("spec.infrastructure.aws.network.name", T::text, "Name of the network.")
        .else_("the Platform's name")
        .meets("S0-04"),
    row("spec.infrastructure.aws.network.cidr", T::cidr, "Addresses of the network.")
        .of("10.0.0.0/16")
        .meets("S0-06"),
    row("spec.infrastructure.aws.network.subnets", T::map, "Subnets that are wanted as they are.")
        .else_("a /20 for each zone")
        .meets("S0-12"),
    row("spec.infrastructure.aws.network.subnets.*", T::object, "A subnet, by its name.").as("cidr"),
    row("spec.infrastructure.aws.network.subnets.*.cidr", T::cidr,
        "Its addresses, inside those of the network and apart from other subnets.")
        .must()
        .meets("S0-12"),
    row("spec.infrastructure.aws.network.nameservers", T::text_list, "Resolvers of the subnets.")
        .else_("the cloud's")
        .item(T::ip)
        .meets("S0-09"),
    row("spec.infrastructure.aws.network.egress", T::choice,
        "How nodes reach the internet, from which they pull images.")
        .of("nat")
        .why("nodes stay private and one gateway is the cheapest; natPerZone survives the loss of a zone")
        .words("nat|natPerZone|none")
        .meets("S1-25 F-81"),
    row("spec.infrastructure.aws.keyPair", T::object, "Login of the nodes."),
    row("spec.infrastructure.aws.keyPair.publicKey", T::secret_ref, "Where the public key stands.")
        .else_("a pair is made; its private half is in the state, which is reported")
        .meets("S0-28 S0-29 S0-30 F-77"),
    row("spec.infrastructure.aws.dns", T::object, "Names in the cloud's DNS.").as("zone"),
    row("spec.infrastructure.aws.dns.zone", T::host, "Hosted zone for the records and for DNS-01.")
        .else_("domain, if there is one")
        .meets("S1-16 S1-20 S1-23 S1-224"),
    row("spec.infrastructure.aws.state", T::object, "Where Terraform keeps its state.").as("bucket"),
    row("spec.infrastructure.aws.state.bucket", T::dotted, "Bucket with locking and encryption.")
        .else_("none: the state stays on the machine that applies, which is reported")
        .meets("S0-54 F-76"),

    row("spec.infrastructure.google", T::object, "Google Cloud with its Kubernetes Engine.")
        .like("spec.infrastructure.aws")
        .meets("S1-19"),
    row("spec.infrastructure.google.project", T::label, "Project in which everything is made.").must(),

    row("spec.infrastructure.azure", T::object, "Azure with its Kubernetes Service.")
        .like("spec.infrastructure.aws")
        .meets("S1-22"),
    row("spec.infrastructure.azure.subscription", T::given, "Subscription that pays.")
        .else_("the variable ARM_SUBSCRIPTION_ID"),
    row("spec.infrastructure.azure.resourceGroup", T::text, "Group in which everything is made.")
        .else_("the Platform's name"),

    row("spec.infrastructure.machines", T::object, "Machines of one's own, set up with kubeadm.")
        .meets("S4-94"),
    row("spec.infrastructure.machines.os", T::choice, "Operating system of all hosts.")
        .of("ubuntu-24.04")
        .why("the newest of the three with long support")
        .words("ubuntu-22.04|ubuntu-24.04|debian-12")
        .meets("S4-01"),
    row("spec.infrastructure.machines.ssh", T::object, "How scripts reach the hosts.").meets("S4-94"),
    row("spec.infrastructure.machines.ssh.user", T::text, "Login; one other than root needs sudo.")
        .of("root"),
    row("spec.infrastructure.machines.ssh.identity", T::secret_ref, "Where the private key stands.")
        .else_("the keys that ssh offers by itself"),
    row("spec.infrastructure.machines.ssh.port", T::integer, "Port of the SSH server.")
        .of("22")
        .from(1, 65535),
    row("spec.infrastructure.machines.network", T::object, "The network of the hosts.").as("cidr"),
    row("spec.infrastructure.machines.network.cidr", T::cidr, "Its addresses; nothing else may overlap them.")
        .must()
        .meets("F-06"),
    row("spec.infrastructure.machines.hosts", T::map, "The hosts; their names are the names of the nodes.")
        .must()
        .keys(T::host)
        .meets("S4-02 S4-03 S4-04 S4-05 S4-06 S4-07"),
    row("spec.infrastructure.machines.hosts.*", T::object, "A host, by its name."),
    row("spec.infrastructure.machines.hosts.*.address", T::ip, "Address in the network.").must(),
    row("spec.infrastructure.machines.hosts.*.role", T::choice, "What the host is for.")
        .of("worker")
        .why("most hosts are")
        .words("controlPlane|worker|loadBalancer")
        .meets("S4-94"),
    row("spec.infrastructure.machines.hosts.*.pool", T::label,
        "Pool whose labels, taints and reserves it has.")
        .else_("none")
        .meets("S4-47 S4-48"),
    row("spec.infrastructure.machines.hosts.*.resources", T::resources, "What the host has, for the sums.")
        .else_("not known: sums leave it out")
        .meets("F-14"),
    row("spec.infrastructure.machines.hosts.*.localDisks", T::map,
        "Its disks, by the storage class that offers them.")
        .else_("none")
        .meets("S4-53 S4-54 F-32"),
    row("spec.infrastructure.machines.hosts.*.localDisks.*", T::object, "A disk, by its storage class."),
    row("spec.infrastructure.machines.hosts.*.localDisks.*.path", T::url_path, "Where it is mounted.")
        .must()
        .meets("S4-51"),
    row("spec.infrastructure.machines.hosts.*.localDisks.*.size", T::quantity,
        "What a volume on it can hold.")
        .must()
        .in("bytes")
        .from(kMi, kPi)
        .meets("S4-53 S4-54"),
    row("spec.infrastructure.machines.virtualAddress", T::ip,
        "Address that two or more load balancers share by keepalived.")
        .else_("none")
        .meets("F-25"),

    row("spec.infrastructure.k3s", T::object, "Machines of one's own with k3s, from a single small one on.")
        .meets("S2-10 S2-11 F-91"),
    row("spec.infrastructure.k3s.ssh", T::object, "How scripts reach the hosts.")
        .like("spec.infrastructure.machines.ssh"),
    row("spec.infrastructure.k3s.hosts", T::map, "The hosts; their names are the names of the nodes.")
        .must()
        .keys(T::host)
        .meets("S2-09"),
    row("spec.infrastructure.k3s.hosts.*", T::object, "A host, by its name.")
        .like("spec.infrastructure.machines.hosts.*"),
    row("spec.infrastructure.k3s.hosts.*.role", T::choice, "A server is a control plane that runs pods too.")
        .of("agent")
        .why("one server is enough; which one it is must be said")
        .words("server|agent"),

    row("spec.infrastructure.clusterApi", T::object, "A cluster that another cluster manages by Cluster API.")
        .meets("S3-04 S3-28"),
    row("spec.infrastructure.clusterApi.provider", T::choice, "What the machines are made of.")
        .of("docker")
        .why("it needs no account and runs on one machine")
        .words("docker|aws|azure|google|vsphere")
        .meets("S3-28 S3-34 S3-35 S3-78 F-111"),
    row("spec.infrastructure.clusterApi.management", T::object, "The managing cluster.").meets("S3-25"),
    row("spec.infrastructure.clusterApi.management.kind", T::object, "It is made with kind on this machine.")
        .as("name"),
    row("spec.infrastructure.clusterApi.management.kind.name", T::label, "Its name.")
        .of("llm-rancher")
        .meets("S3-15 S3-80"),
    row("spec.infrastructure.clusterApi.management.existing", T::object, "It is there already.")
        .as("context"),
    row("spec.infrastructure.clusterApi.management.existing.context", T::text,
        "Its context in the kubeconfig.")
        .must(),
    row("spec.infrastructure.clusterApi.management.rancher", T::object,
        "Rancher with its Turtles, which installs the Cluster API.")
        .meets("S3-26 S3-27 F-103"),
    row("spec.infrastructure.clusterApi.management.rancher.version", T::given, "Version of its chart.")
        .else_("the pinned 2.15")
        .meets("S3-14 F-102"),
    row("spec.infrastructure.clusterApi.management.rancher.hostname", T::given,
        "Name under which clusters reach it.")
        .must()
        .item(T::host)
        .meets("S3-13"),
    row("spec.infrastructure.clusterApi.management.expose", T::object, "How that name reaches this machine."),
    row("spec.infrastructure.clusterApi.management.expose.ngrok", T::object, "By a tunnel of ngrok.")
        .meets("S3-10 S3-31 F-112"),
    row("spec.infrastructure.clusterApi.management.expose.ngrok.apiKey", T::secret_ref,
        "Where its API key stands.")
        .must()
        .meets("S3-11"),
    row("spec.infrastructure.clusterApi.management.expose.ngrok.authToken", T::secret_ref,
        "Where the token of the tunnel stands.")
        .must()
        .meets("S3-12"),

    row("spec.infrastructure.existing", T::object, "A cluster that is there; nothing below it is rendered.")
        .as("context")
        .meets("S3-36"),
    row("spec.infrastructure.existing.context", T::text, "Its context in the kubeconfig.").must(),
    row("spec.infrastructure.existing.dns", T::object,
        "Who keeps the names of what is published; external-dns writes them there."),
    row("spec.infrastructure.existing.dns.provider", T::choice, "Whose DNS it is.")
        .must()
        .words("aws|azure|cloudflare|google"),
    row("spec.infrastructure.existing.dns.zone", T::host, "Only names of this zone are written.")
        .else_("domain"),
    row("spec.infrastructure.existing.dns.credentials", T::secret_ref,
        "Where its credentials stand, as a file in the form that the provider gives out.")
        .else_("the identity that the cluster gives to the pod"),
});

}  // namespace

std::span<const rows::Row> platform_general_rows() { return kGeneral; }
std::span<const rows::Row> platform_infrastructure_rows() { return kInfrastructure; }

}  // namespace tg::spec
