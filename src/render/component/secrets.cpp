// Secrets from a store: External Secrets, OpenBao where asked for, and one ExternalSecret for each Secret
// that a part needs and the document refers to. A collector. What is generated at apply is not in here.
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

Json external_secret(const Context& context, const SecretNeed& need) {
  Json out = object("external-secrets.io/v1", "ExternalSecret", need.name, need.ns);
  out["spec"] = {{"refreshInterval", refresh(context.component("secrets"))},
                 {"secretStoreRef", {{"kind", "ClusterSecretStore"}, {"name", kStore}}},
                 {"target", {{"name", need.name}, {"creationPolicy", "Owner"}}}};
  if (need.keys.empty()) {
    // All that stands at the path, by the names that it has there.
    const std::string path = need.reference.substr(need.reference.find(' ') + 1);
    const Json extract{{"key", stored_name(context, path)}};
    out["spec"]["dataFrom"] = Json::array({Json{{"extract", extract}}});
    return out;
  }
  const std::string name = stored_name(context, fmt::format("{}/{}", need.ns, need.name));
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

// The key is shared out: three of five people open it.
std::string unseal(int replicas) {
  const std::string exec = "kubectl -n secrets exec -ti openbao-";
  std::string out = exec + "0 -- bao operator init -key-shares=5 -key-threshold=3\n" + exec +
                    "0 -- bao operator unseal   # three times, each with another key\n";
  for (int i = 1; i < replicas; ++i) {
    out += fmt::format(
        "{0}{1} -- bao operator raft join -leader-ca-cert=@/openbao/userconfig/openbao-tls/ca.crt "
        "https://openbao-0.openbao-internal:8200\n"
        "{0}{1} -- bao operator unseal   # three times\n",
        exec, i);
  }
  return out;
}

// What the operator may: read what is kept for this platform, with the token of its service account.
std::string let_read(const std::string& platform, const std::string& path) {
  return fmt::format(
      "kubectl -n secrets exec -ti openbao-0 -- sh\n"
      "bao login   # with the first token, which is revoked at the end\n"
      "bao audit enable file file_path=/openbao/audit/audit.log\n"
      "bao secrets enable -path={0} kv-v2\n"
      "bao auth enable kubernetes\n"
      "bao write auth/kubernetes/config kubernetes_host=https://kubernetes.default.svc\n"
      "echo 'path \"{0}/data/{1}/*\" {{ capabilities = [\"read\"] }}' | bao policy write external-secrets -\n"
      "bao write auth/kubernetes/role/external-secrets bound_service_account_names=external-secrets \\\n"
      "  bound_service_account_namespaces=secrets policies=external-secrets ttl=15m\n"
      "bao kv put {0}/{1}/NAMESPACE/SECRET KEY=-   # for each row of the table Secrets; reads the value\n"
      "bao token revoke -self\n",
      path, platform);
}

void add_openbao(Part& part, const Context& context) {
  const int replicas = context.replicas("secrets", "openbao");
  const std::string raft =
      "ui = true\n"
      "listener \"tcp\" {\n"
      "  address = \"[::]:8200\"\n"
      "  cluster_address = \"[::]:8201\"\n"
      "  tls_cert_file = \"/openbao/userconfig/openbao-tls/tls.crt\"\n"
      "  tls_key_file = \"/openbao/userconfig/openbao-tls/tls.key\"\n"
      "}\n"
      "storage \"raft\" {\n  path = \"/openbao/data\"\n}\n"
      "service_registration \"kubernetes\" {}\n";
  Json values{
      {"global", {{"tlsDisable", false}}},
      {"injector", {{"enabled", false}}},
      {"server",
       {{"ha",
         {{"enabled", true},
          {"replicas", replicas},
          {"raft", {{"enabled", true}, {"setNodeId", true}, {"config", raft}}}}},
        {"dataStorage", {{"size", "10Gi"}}},
        {"auditStorage", {{"enabled", true}, {"size", "10Gi"}}},
        {"resources", to_json(context.size("secrets", "openbao"))},
        {"extraEnvironmentVars", {{"BAO_CACERT", "/openbao/userconfig/openbao-tls/ca.crt"}}},
        {"volumes", Json::array({volume_secret("tls", "openbao-tls")})},
        {"volumeMounts",
         Json::array(
             {{{"name", "tls"}, {"mountPath", "/openbao/userconfig/openbao-tls"}, {"readOnly", true}}})}}}};
  part.releases.push_back(
      {.chart = "openbao", .release = "openbao", .ns = kNamespace, .values = std::move(values)});
  if (!cert_manager(context)) {
    part.secrets.push_back({.name = "openbao-tls",
                            .ns = kNamespace,
                            .keys = {"tls.crt", "tls.key", "ca.crt"},
                            .why = "certificate of OpenBao inside the cluster"});
  }
  const Labels pods{{"app.kubernetes.io/name", "openbao"}};
  part.edges.push_back({.from = Peer::pods(kNamespace, pods),
                        .to = Peer::pods(kNamespace, pods),
                        .ports = {{"api", 8200}, {"raft", 8201}},
                        .why = "keeps its copies alike"});
  part.edges.push_back(
      {.from = Peer::pods(kNamespace, pods), .to = Peer::api_server(), .why = "checks tokens of pods"});
  part.edges.push_back({.from = Peer::pods(kNamespace, {{"app.kubernetes.io/instance", "external-secrets"}}),
                        .to = Peer::pods(kNamespace, pods),
                        .ports = {{"api", 8200}},
                        .why = "reads secrets"});
  part.sections.push_back({Section::Chapter::first_steps, "Unseal OpenBao", unseal(replicas)});
  part.sections.push_back({Section::Chapter::first_steps, "Let the operator read secrets",
                           let_read(context.name(), context.component("secrets").text("from.vault.path"))});
  part.sections.push_back(
      {Section::Chapter::troubleshooting, "OpenBao is sealed after a restart",
       "Three of the five keys are needed again, on each pod: there is no cloud seal here.\n"});
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
  const bool openbao = own_vault(context);
  if (openbao) add_openbao(part, context);
  Json store = object("external-secrets.io/v1", "ClusterSecretStore", kStore);
  store["spec"] = {{"provider", provider(context)}};
  part.add("store.yaml", std::move(store));
  for (const Part& p : parts) {
    for (const SecretNeed& need : p.secrets) {
      // Copies of a generated one are made at apply.
      if (need.from == SecretNeed::From::reference && !need.reference.starts_with("copy of"))
        part.add("external-secrets.yaml", external_secret(context, need));
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
  if (context.has("metrics"))
    part.edges.push_back({.from = prometheus_peer(),
                          .to = Peer::pods(kNamespace, pods),
                          .ports = {{"metrics", 8080}},
                          .why = "scrapes metrics"});
  part.sections.push_back(
      {Section::Chapter::troubleshooting, "A Secret is not there",
       "kubectl get externalsecrets -A\nkubectl describe externalsecret -n NAMESPACE NAME\n"});
  return {std::move(part)};
}

}  // namespace tg::render
