#include "render/infrastructure/api_server.hpp"

#include <fmt/format.h>

#include <array>

namespace tg::render {

namespace {

// Nothing in it tells a request from another, and it would be most of the file.
Json silent(Json rule) {
  Json out{{"level", "None"}};
  out.update(std::move(rule));
  return out;
}

Json group(std::string_view name, const std::vector<std::string>& resources) {
  return {{"group", name}, {"resources", resources}};
}

std::string default_or(const std::string& value, std::string_view fallback) {
  return value.empty() ? std::string(fallback) : value;
}

}  // namespace

std::optional<CiLogin> ci_login(const Context& context) {
  const spec::Reader ci = context.spec().sub("delivery.ci");
  const std::string use = ci.text("use");
  if (use == "none" || ci.text("login") != "oidc") return std::nullopt;
  CiLogin out;
  out.audience = context.cluster_name();
  const std::string repository = ci.text("repository");
  const std::string branch = ci.text("branch");
  if (use == "github-actions") {
    out.issuer = "https://token.actions.githubusercontent.com";
    const std::string environment = ci.text("environment");
    out.user = fmt::format("github:repo:{}:environment:{}", repository, environment);
    out.claims = {{"repository", repository}, {"ref", "refs/heads/" + branch}, {"environment", environment}};
  } else {
    out.issuer = "https://gitlab.com";
    out.user = fmt::format("gitlab:project_path:{}:ref_type:branch:ref:{}", repository, branch);
    out.claims = {{"project_path", repository}, {"ref", branch}, {"ref_type", "branch"}};
  }
  return out;
}

Json authentication_configuration(const Context& context, bool anonymous) {
  Json jwt = Json::array();
  if (const auto login = ci_login(context)) {
    Json claims = Json::array();
    for (const auto& [claim, value] : login->claims) claims.push_back({{"claim", claim}, {"requiredValue", value}});
    const std::string prefix = login->user.substr(0, login->user.find(':') + 1);
    jwt.push_back({{"issuer", {{"url", login->issuer}, {"audiences", Json::array({login->audience})}}},
                   {"claimMappings", {{"username", {{"claim", "sub"}, {"prefix", prefix}}}}},
                   {"claimValidationRules", std::move(claims)}});
  }
  const spec::Reader oidc = context.spec().sub("access.login.oidc");
  if (context.spec().has("access.login.oidc")) {
    jwt.push_back({{"issuer", {{"url", oidc.text("issuer")}, {"audiences", Json::array({oidc.text("clientId")})}}},
                   {"claimMappings",
                    {{"username", {{"claim", "email"}, {"prefix", "oidc:"}}},
                     {"groups", {{"claim", "groups"}, {"prefix", ""}}}}},
                   // A group of the provider must never be one of Kubernetes' own.
                   {"userValidationRules",
                    Json::array({{{"expression", "user.groups.all(g, !g.startsWith('system:'))"},
                                  {"message", "groups of the system are not given from outside"}}})}});
  }
  if (jwt.empty() && !anonymous) return nullptr;
  Json out{{"apiVersion", "apiserver.config.k8s.io/v1"}, {"kind", "AuthenticationConfiguration"}};
  out["jwt"] = std::move(jwt);
  if (anonymous) {
    Json pages = Json::array();
    for (const char* page : {"/livez", "/readyz", "/healthz"}) pages.push_back({{"path", page}});
    out["anonymous"] = {{"enabled", true}, {"conditions", std::move(pages)}};
  }
  return out;
}

Json audit_policy(const Context& context) {
  const std::string level = context.spec().text("cluster.audit");
  if (level == "none") return nullptr;
  Json rules = Json::array();
  rules.push_back(silent({{"nonResourceURLs", Json::array({"/healthz*", "/livez*", "/readyz*", "/version", "/metrics"})}}));
  rules.push_back(silent({{"resources", Json::array({group("", {"events"}), group("events.k8s.io", {"events"})})}}));
  rules.push_back(silent({{"resources", Json::array({group("coordination.k8s.io", {"leases"})})},
                          {"verbs", Json::array({"get", "list", "watch", "update", "patch"})}}));
  rules.push_back(silent({{"users", Json::array({"system:kube-proxy", "system:kube-controller-manager",
                                                 "system:kube-scheduler", "system:apiserver"})},
                          {"verbs", Json::array({"get", "list", "watch"})}}));
  rules.push_back(silent({{"userGroups", Json::array({"system:nodes"})}, {"verbs", Json::array({"get", "list", "watch"})}}));
  // Who read or changed a Secret is written down, what is in it never, whatever the level below says.
  rules.push_back({{"level", "Metadata"},
                   {"resources", Json::array({group("", {"secrets", "configmaps", "serviceaccounts/token"}),
                                              group("authentication.k8s.io", {"tokenreviews"})})}});
  rules.push_back({{"level", "Metadata"},
                   {"resources", Json::array({group("", {"pods/exec", "pods/attach", "pods/portforward", "pods/proxy"})})}});
  if (level == "request") {
    rules.push_back({{"level", "Request"}, {"verbs", Json::array({"create", "update", "patch", "delete", "deletecollection"})}});
  }
  rules.push_back({{"level", "Metadata"}});
  return {{"apiVersion", "audit.k8s.io/v1"},
          {"kind", "Policy"},
          // A request is written down once, when it is done.
          {"omitStages", Json::array({"RequestReceived"})},
          {"omitManagedFields", true},
          {"rules", std::move(rules)}};
}

Json encryption_configuration(const Context& context) {
  const spec::Reader& spec = context.spec();
  const std::string provider = default_or(spec.text("cluster.encryptionAtRest.provider"), "secretbox");
  if (provider == "kms") {
    context.refuse("cannot_render", spec.at("cluster.encryptionAtRest.provider"),
                   spec.where("cluster.encryptionAtRest.provider"), "kms is a service of a cloud; there is none here",
                   "write secretbox, or leave it out");
    return nullptr;
  }
  Json key{{"keys", Json::array({{{"name", "key1"}, {"secret", kKeyMark}}})}};
  // The first one writes; identity reads what was written before encryption, and stands last.
  Json providers = Json::array();
  providers.push_back({{provider, std::move(key)}});
  providers.push_back({{"identity", Json::object()}});
  return {{"apiVersion", "apiserver.config.k8s.io/v1"},
          {"kind", "EncryptionConfiguration"},
          {"resources", Json::array({{{"resources", Json::array({"secrets"})}, {"providers", std::move(providers)}}})}};
}

Json kubelet_configuration(const Context& context) {
  Json out{{"apiVersion", "kubelet.config.k8s.io/v1beta1"},
           {"kind", "KubeletConfiguration"},
           {"cgroupDriver", "systemd"},
           {"seccompDefault", true},
           {"protectKernelDefaults", true},
           {"readOnlyPort", 0},
           {"eventRecordQPS", 50},
           {"containerLogMaxSize", "20Mi"},
           {"containerLogMaxFiles", 5},
           {"imageGCHighThresholdPercent", 80},
           {"imageGCLowThresholdPercent", 70},
           // Pods get their grace at a restart too.
           {"shutdownGracePeriod", "60s"},
           {"shutdownGracePeriodCriticalPods", "20s"}};
  if (context.spec().text("cluster.swap") == "zram") {
    out["failSwapOn"] = false;
    out["memorySwap"] = {{"swapBehavior", "LimitedSwap"}};
  } else {
    out["failSwapOn"] = true;
  }
  return out;
}

Json kubelet_reserves(const Context& context, const std::string& pool) {
  // A pool's own words stand before those of the cluster, amount by amount.
  const auto read = [&](std::string_view what) {
    auto amounts = context.spec().quantities(fmt::format("cluster.reserve.{}", what));
    for (const auto& [name, p] : context.spec().named("pools")) {
      if (name != pool) continue;
      for (const auto& [key, amount] : p.quantities(fmt::format("reserve.{}", what))) amounts.insert_or_assign(key, amount);
    }
    return amounts;
  };
  auto system = read("system"), kubelet = read("kubelet"), eviction = read("eviction");
  // Small next to any machine that can be a node, enough for what runs beside pods.
  for (auto* reserve : {&system, &kubelet}) {
    reserve->emplace("cpu", "100m");
    reserve->emplace("memory", "256Mi");
  }
  // Naming one signal sets the others to nothing: all of them are written.
  eviction.emplace("memory.available", "100Mi");
  eviction.emplace("nodefs.available", "10%");
  eviction.emplace("nodefs.inodesFree", "5%");
  eviction.emplace("imagefs.available", "15%");
  eviction.emplace("imagefs.inodesFree", "5%");
  Json out{{"apiVersion", "kubelet.config.k8s.io/v1beta1"}, {"kind", "KubeletConfiguration"}};
  out["systemReserved"] = to_json(system);
  out["kubeReserved"] = to_json(kubelet);
  out["evictionHard"] = to_json(eviction);
  out["enforceNodeAllocatable"] = Json::array({"pods"});
  return out;
}

}  // namespace tg::render
