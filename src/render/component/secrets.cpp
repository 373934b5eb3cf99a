// Secrets from a store: External Secrets, and one ExternalSecret for each Secret that a part needs and the
// document refers to. A collector. What is generated at apply is not in here.
#include <fmt/format.h>

#include <algorithm>

#include "render/component/cert_manager.hpp"
#include "render/component/components.hpp"
#include "render/component/identity.hpp"

namespace tg::render {

namespace {

constexpr const char* kNamespace = "secrets";
constexpr const char* kStore = "platform";

std::string refresh(const spec::Reader& spec) {
  return fmt::format("{}s", static_cast<std::int64_t>(spec.seconds("refresh")));
}

Json provider(const Context& context) {
  const spec::Reader from = context.component("secrets").sub("from");
  const std::string_view chosen = context.component("secrets").chosen("from");
  const Json account{{"serviceAccountRef", {{"name", "external-secrets"}, {"namespace", kNamespace}}}};
  if (chosen == "awsSecretsManager") {
    std::string region = from.text("awsSecretsManager.region");
    if (region.empty()) region = context.infrastructure().text("region");
    return {{"aws", {{"service", "SecretsManager"}, {"region", region}, {"auth", {{"jwt", account}}}}}};
  }
  if (chosen == "googleSecretManager") {
    std::string project = from.text("googleSecretManager.project");
    if (project.empty() && context.site() == Site::google) project = context.infrastructure().text("project");
    return {{"gcpsm", {{"projectID", project}}}};
  }
  if (chosen == "azureKeyVault") {
    std::string url = from.text("azureKeyVault.url");
    if (url.empty()) url = "output:key_vault_url";
    return {{"azurekv",
             {{"vaultUrl", url},
              {"authType", "WorkloadIdentity"},
              {"serviceAccountRef", account["serviceAccountRef"]}}}};
  }
  std::string url = from.text("vault.url");
  const bool installed = from.text("vault.install") == "openbao";
  if (url.empty() && installed) url = fmt::format("https://openbao-active.{}.svc:8200", kNamespace);
  Json vault{{"server", url},
             {"path", from.text("vault.path")},
             {"version", "v2"},
             {"auth",
              {{"kubernetes",
                {{"mountPath", "kubernetes"},
                 {"role", "external-secrets"},
                 {"serviceAccountRef", account["serviceAccountRef"]}}}}}};
  if (installed)
    vault["caProvider"] = {
        {"type", "Secret"}, {"name", "openbao-tls"}, {"namespace", kNamespace}, {"key", "ca.crt"}};
  return {{"vault", std::move(vault)}};
}

// Under which name the store has it. Google and Azure take no '/' in names.
std::string stored_name(const Context& context, const std::string& path) {
  std::string out = fmt::format("{}/{}", context.name(), path);
  const std::string_view chosen = context.component("secrets").chosen("from");
  if (chosen == "googleSecretManager" || chosen == "azureKeyVault")
    std::replace(out.begin(), out.end(), '/', '-');
  return out;
}

constexpr std::string_view kCopy = "copy of ";

// The Secret that a copy is of, if that comes from the store too; nullptr if it is made in the cluster.
const SecretNeed* original(const std::vector<Part>& parts, const SecretNeed& copy) {
  for (const Part& p : parts) {
    for (const SecretNeed& s : p.secrets) {
      if (s.from == SecretNeed::From::reference && !s.reference.starts_with(kCopy) &&
          copy.reference == fmt::format("{}{}/{}", kCopy, s.ns, s.name))
        return &s;
    }
  }
  return nullptr;
}

// `kept`: as which Secret the store has it.
Json external_secret(const Context& context, const SecretNeed& need, const SecretNeed& kept) {
  Json out = object("external-secrets.io/v1", "ExternalSecret", need.name, need.ns);
  out["spec"] = {{"refreshInterval", refresh(context.component("secrets"))},
                 {"secretStoreRef", {{"kind", "ClusterSecretStore"}, {"name", kStore}}},
                 {"target", {{"name", need.name}, {"creationPolicy", "Owner"}}}};
  if (need.keys.empty()) {
    // All that stands at the path, by the names that it has there.
    const std::string path = kept.reference.substr(kept.reference.find(' ') + 1);
    const Json extract{{"key", stored_name(context, path)}};
    out["spec"]["dataFrom"] = Json::array({Json{{"extract", extract}}});
    return out;
  }
  const std::string name = stored_name(context, fmt::format("{}/{}", kept.ns, kept.name));
  Json data = Json::array();
  for (const std::string& key : need.keys)
    data.push_back({{"secretKey", key}, {"remoteRef", {{"key", name}, {"property", key}}}});
  out["spec"]["data"] = std::move(data);
  return out;
}

Json operator_values(const Context& context) {
  Json out{{"installCRDs", true},
           {"replicaCount", context.replicas("secrets", "external-secrets")},
           {"leaderElect", context.replicas("secrets", "external-secrets") > 1},
           {"resources", to_json(context.size("secrets", "external-secrets"))},
           {"webhook",
            {{"replicaCount", context.replicas("secrets", "webhook")},
             {"resources", to_json(context.size("secrets", "webhook"))}}},
           {"certController", {{"resources", to_json(context.size("secrets", "webhook"))}}}};
  out["serviceAccount"] = {{"name", "external-secrets"}};
  if (context.site() == Site::aws)
    out["serviceAccount"]["annotations"] = {
        {"eks.amazonaws.com/role-arn", "output:external_secrets_role_arn"}};
  if (context.site() == Site::azure) {
    out["serviceAccount"]["annotations"] = {
        {"azure.workload.identity/client-id", "output:external_secrets_client_id"}};
    out["podLabels"] = {{"azure.workload.identity/use", "true"}};
  }
  if (context.site() == Site::google)
    out["serviceAccount"]["annotations"] = {
        {"iam.gke.io/gcp-service-account", "output:external_secrets_account"}};
  if (context.has("metrics")) out["serviceMonitor"] = {{"enabled", true}};
  const Placement where = context.add_on_placement();
  if (!where.node_selector.empty()) out["nodeSelector"] = to_json(where.node_selector);
  if (!where.tolerations.empty()) out["tolerations"] = where.tolerations;
  return out;
}

}  // namespace

std::vector<Part> secrets(const Context& context, const std::vector<Part>& parts) {
  if (context.use("secrets") != "external-secrets") return {};
  Part part = component("secrets");
  part.after = {"namespaces", "network-policies"};
  part.namespaces.push_back({.name = kNamespace});
  part.releases.push_back({.chart = "external-secrets",
                           .release = "external-secrets",
                           .ns = kNamespace,
                           .values = operator_values(context)});
  Json store = object("external-secrets.io/v1", "ClusterSecretStore", kStore);
  store["spec"] = {{"provider", provider(context)}};
  part.add("store.yaml", std::move(store));
  for (const Part& p : parts) {
    for (const SecretNeed& need : p.secrets) {
      if (need.from != SecretNeed::From::reference) continue;
      // Copies of a generated one are made at apply.
      const SecretNeed* kept = need.reference.starts_with(kCopy) ? original(parts, need) : &need;
      if (kept != nullptr) part.add("external-secrets.yaml", external_secret(context, need, *kept));
    }
  }
  const Labels pods{{"app.kubernetes.io/instance", "external-secrets"}};
  part.edges.push_back(
      {.from = Peer::pods(kNamespace, pods), .to = Peer::api_server(), .why = "writes Secrets"});
  part.edges.push_back({.from = Peer::pods(kNamespace, pods),
                        .to = Peer::everywhere(),
                        .ports = {{"https", 443}},
                        .why = "asks the store and the cloud's identity service"});
  add_identity_edge(part, context, Peer::pods(kNamespace, pods));
  part.edges.push_back({.from = Peer::api_server(),
                        .to = Peer::pods(kNamespace, pods),
                        .ports = {{"webhook", 10250}},
                        .why = "asks the webhook"});
  part.sections.push_back(
      {Section::Chapter::troubleshooting, "A Secret is not there",
       "kubectl get externalsecrets -A\nkubectl describe externalsecret -n NAMESPACE NAME\n"});
  return {std::move(part)};
}

}  // namespace tg::render
