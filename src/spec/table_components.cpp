// Platform.spec.components: what serves and guards; table_observability.cpp has what watches.
#include <array>

#include "spec/tables.hpp"

namespace tg::spec {

namespace {

using namespace rows;
using T = Type;

constexpr auto kComponents = std::to_array<Row>({
    row("spec.components", T::object,
        "Parts of the platform; a word names the implementation, none leaves it out."),
    row("spec.components.profile", T::choice, "Sizes and numbers of replicas of all parts.")
        .of("standard")
        .why("small is for one machine of about 4 GiB")
        .words("standard|small")
        .meets("S2-09 S2-13 F-92"),
    row("spec.components.placement", T::label, "Pool that runs the parts, or controlPlane.")
        .else_("pools without taints")
        .words("controlPlane")
        .meets("S4-48"),

    row("spec.components.gateway", T::object, "Where requests enter the cluster.").as("use"),
    row("spec.components.gateway.use", T::choice, "Which one.")
        .of("envoy-gateway")
        .why("it has limits, logins, affinity and a firewall in typed objects")
        .words("envoy-gateway|istio|traefik|ingress-nginx|none")
        .meets("S1-01 F-40"),
    row("spec.components.gateway.replicas", T::integer, "Its proxies.")
        .of("2")
        .why("one can be replaced without a gap")
        .in("replicas")
        .from(1, 100)
        .meets("S1-31"),
    row("spec.components.gateway.nodePorts", T::object,
        "Ports of every node at which what stands before the cluster hands requests over.")
        .else_("the cluster gives the gateway an address: clouds, k3s, a controller like MetalLB"),
    row("spec.components.gateway.nodePorts.http", T::integer, "What comes in at port 80.")
        .of("30080")
        .from(30000, 32767),
    row("spec.components.gateway.nodePorts.https", T::integer, "What comes in at port 443.")
        .of("30443")
        .from(30000, 32767),
    row("spec.components.gateway.rateLimit", T::object, "Requests to everything that is published.")
        .as("rate")
        .meets("S1-37 F-41"),
    row("spec.components.gateway.rateLimit.rate", T::rate, "At most so many.").else_("no limit"),
    row("spec.components.gateway.rateLimit.per", T::choice,
        "Counted for each client address, or for all together.")
        .of("client")
        .why("one client cannot use up what all share")
        .words("client|gateway"),
    row("spec.components.gateway.waf", T::object, "Firewall that looks into requests.")
        .as("rules")
        .meets("S1-34 F-42"),
    row("spec.components.gateway.waf.rules", T::choice, "Its rules.").of("none").words("owasp-crs|none"),
    row("spec.components.gateway.waf.mode", T::choice, "Refuse what matches, or only report it.")
        .of("block")
        .words("block|detect"),
    row("spec.components.gateway.headers", T::choice,
        "Security headers of answers: HSTS, CSP, frame options.")
        .of("strict")
        .why("what needs less can say so")
        .words("strict|none")
        .meets("S1-40 F-42"),

    row("spec.components.certificates", T::object, "TLS certificates of what is published.").as("use"),
    row("spec.components.certificates.use", T::choice, "Who fetches them.")
        .of("cert-manager")
        .words("cert-manager|none")
        .meets("S1-02 S2-18 S3-30 F-43"),
    row("spec.components.certificates.email", T::email, "Account of the authority; it warns there.")
        .else_("contacts.email")
        .meets("S1-109 S1-160"),
    row("spec.components.certificates.issuer", T::one_of, "Who signs them.")
        .else_("letsencrypt")
        .meets("S1-47"),
    row("spec.components.certificates.issuer.letsencrypt", T::object,
        "Let's Encrypt, with an issuer for trials and one for use.")
        .meets("S1-43 S1-47"),
    row("spec.components.certificates.issuer.selfSigned", T::object, "Nobody: for development.")
        .meets("S1-48"),
    row("spec.components.certificates.issuer.ca", T::secret_ref,
        "An authority of one's own; where its pair stands.")
        .meets("S1-49"),
    row("spec.components.certificates.challenges", T::text_list,
        "How the authority sees that a name is ours.")
        .of("http01")
        .why("it needs nothing but the gateway")
        .item(T::choice)
        .words("http01|dns01")
        .meets("S1-44 F-61"),
    row("spec.components.certificates.wildcard", T::boolean,
        "One certificate for all names below the domain; needs dns01.")
        .of("false")
        .meets("S1-161"),

    row("spec.components.gpu", T::object, "Software of GPU nodes.").as("use"),
    row("spec.components.gpu.use", T::choice,
        "Driver, toolkit, plugin and exporter by the operator, or the host's.")
        .else_("operator where a pool has GPUs, else none")
        .words("operator|host|none")
        .meets("S0-69 S4-35 S4-36 S4-38 S4-59 F-08 F-09 F-10 F-15"),

    row("spec.components.autoscaling", T::object, "Growing and shrinking.").as("nodes"),
    row("spec.components.autoscaling.nodes", T::choice, "Who adds and removes nodes.")
        .else_("cluster-autoscaler where a pool's min is below its max, else none")
        .words("cluster-autoscaler|karpenter|cloud|none")
        .meets("S2-25 S3-23 S3-79"),

    row("spec.components.mesh", T::object, "Encryption and authorisation between services.").as("use"),
    row("spec.components.mesh.use", T::choice, "Which one.")
        .of("none")
        .why("network policies hold without it")
        .words("istio|none")
        .meets("S0-87 S1-08 S1-104 F-50"),
    row("spec.components.mesh.mode", T::choice, "A proxy for each node, or for each pod.")
        .of("ambient")
        .why("it costs a tenth; sidecars are for canaries and breakers")
        .words("ambient|sidecar")
        .meets("F-51"),
    row("spec.components.mesh.retries", T::integer, "Further tries of a failed request between services.")
        .of("2")
        .in("tries")
        .from(0, 10)
        .meets("S1-106"),
    row("spec.components.mesh.breaker", T::object, "A replica that fails gets no requests for a while.")
        .meets("S1-106"),
    row("spec.components.mesh.breaker.errors", T::integer, "Failures in a row that are too many.")
        .of("5")
        .in("errors")
        .from(1, 1000),
    row("spec.components.mesh.breaker.eject", T::duration, "How long it gets none.")
        .of("30s")
        .from(kSeconds, kHours),

    row("spec.components.policy", T::object, "Rules for everything that is put into the cluster.").as("use"),
    row("spec.components.policy.use", T::choice, "Who enforces them.")
        .of("gatekeeper")
        .words("gatekeeper|kyverno|none")
        .meets("S0-90 S1-90 S1-92 S1-93 S1-94 S1-95"),
    row("spec.components.policy.mode", T::choice, "Refuse what breaks a rule, or only report it.")
        .of("enforce")
        .why("a rule that only reports is read by nobody")
        .words("enforce|report")
        .meets("F-49"),
    row("spec.components.policy.registries", T::text_list,
        "Registries that apps may pull from, besides those of the parts.")
        .else_("any")
        .meets("S1-91"),

    row("spec.components.secrets", T::object, "Secrets that come from a store.").as("use"),
    row("spec.components.secrets.use", T::choice, "Who brings them.")
        .of("none")
        .words("external-secrets|none")
        .meets("S0-88 S1-192 S2-35"),
    row("spec.components.secrets.from", T::one_of, "The store."),
    row("spec.components.secrets.from.vault", T::object, "Vault or OpenBao.").meets("S0-88 S1-192"),
    row("spec.components.secrets.from.vault.install", T::choice, "Put one into the cluster.")
        .of("none")
        .words("openbao|none"),
    row("spec.components.secrets.from.vault.url", T::url, "Address of one that is there.")
        .else_("that of the installed one"),
    row("spec.components.secrets.from.vault.path", T::text, "Mount of its key-value engine.").of("secret"),
    row("spec.components.secrets.from.awsSecretsManager", T::object,
        "AWS Secrets Manager, by the identity of the pod.")
        .meets("S1-192 S2-35"),
    row("spec.components.secrets.from.awsSecretsManager.region", T::label, "Its region.")
        .else_("that of the platform"),
    row("spec.components.secrets.from.googleSecretManager", T::object,
        "Google Secret Manager, by the identity of the pod."),
    row("spec.components.secrets.from.googleSecretManager.project", T::label, "Its project.")
        .else_("that of the platform"),
    row("spec.components.secrets.from.azureKeyVault", T::object,
        "Azure Key Vault, by the identity of the pod."),
    row("spec.components.secrets.from.azureKeyVault.url", T::url, "Its address.")
        .else_("the vault that is made with the cluster"),
    row("spec.components.secrets.refresh", T::duration, "How often they are read again.")
        .of("1h")
        .from(10 * kSeconds, 30 * kDays)
        .meets("S2-35"),

    row("spec.components.serving", T::object, "Who runs the Models.").as("use"),
    row("spec.components.serving.use", T::choice, "Which one.")
        .of("tidegate")
        .why("it holds requests while a model starts and counts what they cost")
        .words("tidegate|knative|ollama|none")
        .meets("S2-06 S3-18 S3-19"),
    row("spec.components.serving.gateway", T::choice, "Who offers the Routes as one API.")
        .else_("litellm with knative, else tidegate")
        .words("tidegate|litellm")
        .meets("S3-17 F-105 F-106"),
    row("spec.components.serving.cache", T::label, "Storage class of the volume with the weights.")
        .else_("the default class"),
    row("spec.components.serving.replicas", T::integer, "Gateways.")
        .else_("2, small 1")
        .in("replicas")
        .from(1, 100),
    row("spec.components.serving.host", T::host, "Name under which the API is published.").else_("none"),

    row("spec.components.chat", T::object, "A page to talk to the models.").as("use"),
    row("spec.components.chat.use", T::choice, "Which one.")
        .of("none")
        .words("open-webui|none")
        .meets("S2-05 S3-16 F-96"),
    row("spec.components.chat.host", T::host, "Name under which it is published.")
        .else_("none")
        .meets("S2-01"),
    row("spec.components.chat.database", T::label, "Data service that keeps its data.")
        .else_("none: a file on its volume")
        .meets("S2-07"),
    row("spec.components.chat.admin", T::object, "Its first user; the password is made at apply.")
        .as("email")
        .meets("S2-08 F-90"),
    row("spec.components.chat.admin.email", T::email, "Name of that user.")
        .else_("contacts.email, else admin@localhost"),
    row("spec.components.chat.storage", T::object, "Its volume.").as("size").meets("F-96"),
    row("spec.components.chat.storage.size", T::quantity, "Size.").of("5Gi").in("bytes").from(kMi, 64 * kTi),
    row("spec.components.chat.storage.class", T::label, "Storage class.").else_("the default class"),
    row("spec.components.chat.replicas", T::integer, "Copies; more than one need a database.")
        .of("1")
        .in("replicas")
        .from(1, 100),

    row("spec.components.training", T::object, "Who runs TrainingRuns.").as("use"),
    row("spec.components.training.use", T::choice, "Which one.")
        .else_("jobset when there is a TrainingRun, else none")
        .words("jobset|kubeflow-trainer|kubeflow|kueue|none")
        .meets("S4-63 S4-64 F-04"),
});

}  // namespace

std::span<const rows::Row> platform_component_rows() { return kComponents; }

}  // namespace tg::spec
