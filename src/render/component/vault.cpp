// OpenBao, a store of secrets of one's own. People open it, so what reads it comes after them.
#include <fmt/format.h>

#include "render/component/cert_manager.hpp"
#include "render/component/components.hpp"

namespace tg::render {

namespace {

constexpr const char* kNamespace = "secrets";

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
      "  bound_service_account_namespaces=secrets policies=external-secrets ttl=15m\n",
      path, platform);
}

// Nodes that are always there and take any pod: those of pools that keep nobody away.
int open_nodes(const Context& context) {
  int out = 0;
  for (const auto& [name, pool] : context.spec().named("pools")) {
    const std::string gpu = pool.text("gpu.vendor");
    if (pool.list("taints").empty() && (gpu.empty() || gpu == "none"))
      out += static_cast<int>(pool.integer("count.min"));
  }
  return out;
}

// Apart where there is room for it. A copy that cannot be apart is worth more than one that never starts.
Json apart() {
  const Json labels{{"app.kubernetes.io/name", "openbao"},
                    {"app.kubernetes.io/instance", "openbao"},
                    {"component", "server"}};
  Json terms = Json::array();
  terms.push_back(
      {{"weight", 100},
       {"podAffinityTerm",
        {{"labelSelector", {{"matchLabels", labels}}}, {"topologyKey", "kubernetes.io/hostname"}}}});
  return {{"podAntiAffinity", {{"preferredDuringSchedulingIgnoredDuringExecution", std::move(terms)}}}};
}

// On two nodes one of them holds two copies of three: a majority goes with it.
void tell_of_nodes(Part& part, int replicas, int nodes) {
  part.sections.push_back(
      {Section::Chapter::overview, "Copies of OpenBao",
       fmt::format("{} copies share {} nodes that take them. The node with most of them may not fail without "
                   "the others standing still, too: nothing is lost, and secrets are read again when it is "
                   "back. A third node without taints mends that.\n",
                   replicas, nodes)});
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
  Json& server = values["server"];
  // All at once: the second would wait for the first, which is not ready before somebody opened it.
  server["podManagementPolicy"] = "Parallel";
  const Placement where = context.add_on_placement();
  if (!where.node_selector.empty()) server["nodeSelector"] = to_json(where.node_selector);
  if (!where.tolerations.empty()) server["tolerations"] = where.tolerations;
  const int nodes = open_nodes(context);
  if (!context.cloud() || !where.node_selector.empty() || nodes < replicas) server["affinity"] = apart();
  if (context.cloud() && where.node_selector.empty() && nodes < replicas)
    tell_of_nodes(part, replicas, nodes);
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

std::vector<Part> vault(const Context& context) {
  if (!own_vault(context)) return {};
  Part part = component("vault");
  // Its pods mount a certificate, and its tokens come from the operator's service account.
  part.after = {"namespaces", "network-policies", "storage", "secrets", "certificates"};
  part.namespaces.push_back({.name = kNamespace});
  add_openbao(part, context);
  part.steps.push_back(
      {.kind = "people",
       .what = "\"Unseal OpenBao\", \"Let the operator read secrets\" and \"Secrets in the store\""});
  part.steps.push_back({.kind = "wait", .what = "clustersecretstore/platform Ready", .timeout = "10m"});
  return {std::move(part)};
}

}  // namespace tg::render
