#include "render/infrastructure/api_server.hpp"

#include <fmt/format.h>

#include "render/delivery/delivery.hpp"

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

// "['a', 'b']" as CEL writes a list.
std::string cel_list(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& w : words) out += fmt::format("{}'{}'", out.empty() ? "" : ", ", w);
  return "[" + out + "]";
}

// The short-lived token of the pipeline's own job as a login: of this repository, branch and environment
// only. The role in delivery/pipeline.cpp names its group; audience and group are the same there.
Json pipeline_login(const Context& context) {
  const spec::Reader ci = context.spec().sub("delivery.ci");
  const std::string use = ci.text("use");
  if (use == "none" || ci.text("login") != "oidc") return nullptr;
  const bool github = use == "github-actions";
  const std::string repository = github ? "repository" : "project_path";
  Json rules = Json::array();
  rules.push_back({{"claim", repository}, {"requiredValue", ci.text("repository")}});
  rules.push_back({{"claim", "ref"}, {"requiredValue", (github ? "refs/heads/" : "") + ci.text("branch")}});
  rules.push_back(
      {{"expression", fmt::format("claims.environment in {}", cel_list(pipeline_environments(context)))},
       {"message", "the job must run in a protected environment of the platform"}});
  return {{"issuer",
           {{"url", github ? "https://token.actions.githubusercontent.com" : "https://gitlab.com"},
            {"audiences", Json::array({"kubernetes"})}}},
          {"claimMappings",
           {{"username", {{"claim", "sub"}, {"prefix", "pipeline:"}}},
            {"groups", {{"expression", fmt::format("['pipeline:' + claims.{}]", repository)}}}}},
          {"claimValidationRules", std::move(rules)}};
}

}  // namespace

Json authentication_configuration(const Context& context, bool anonymous) {
  Json jwt = Json::array();
  if (Json login = pipeline_login(context); !login.is_null()) jwt.push_back(std::move(login));
  const spec::Reader oidc = context.spec().sub("access.login.oidc");
  if (context.spec().has("access.login.oidc")) {
    jwt.push_back(
        {{"issuer", {{"url", oidc.text("issuer")}, {"audiences", Json::array({oidc.text("clientId")})}}},
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
  rules.push_back(silent(
      {{"nonResourceURLs", Json::array({"/healthz*", "/livez*", "/readyz*", "/version", "/metrics"})}}));
  rules.push_back(
      silent({{"resources", Json::array({group("", {"events"}), group("events.k8s.io", {"events"})})}}));
  rules.push_back(silent({{"resources", Json::array({group("coordination.k8s.io", {"leases"})})},
                          {"verbs", Json::array({"get", "list", "watch", "update", "patch"})}}));
  rules.push_back(silent({{"users", Json::array({"system:kube-proxy", "system:kube-controller-manager",
                                                 "system:kube-scheduler", "system:apiserver"})},
                          {"verbs", Json::array({"get", "list", "watch"})}}));
  rules.push_back(silent(
      {{"userGroups", Json::array({"system:nodes"})}, {"verbs", Json::array({"get", "list", "watch"})}}));
  // Who read or changed a Secret is written down, what is in it never, whatever the level below says.
  rules.push_back({{"level", "Metadata"},
                   {"resources", Json::array({group("", {"secrets", "configmaps", "serviceaccounts/token"}),
                                              group("authentication.k8s.io", {"tokenreviews"})})}});
  rules.push_back({{"level", "Metadata"},
                   {"resources", Json::array({group(
                                     "", {"pods/exec", "pods/attach", "pods/portforward", "pods/proxy"})})}});
  if (level == "request") {
    rules.push_back({{"level", "Request"},
                     {"verbs", Json::array({"create", "update", "patch", "delete", "deletecollection"})}});
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
                   spec.where("cluster.encryptionAtRest.provider"),
                   "kms is a service of a cloud; there is none here", "write secretbox, or leave it out");
    return nullptr;
  }
  Json key{{"keys", Json::array({{{"name", "key1"}, {"secret", kKeyMark}}})}};
  // The first one writes; identity reads what was written before encryption, and stands last.
  Json providers = Json::array();
  providers.push_back({{provider, std::move(key)}});
  providers.push_back({{"identity", Json::object()}});
  return {{"apiVersion", "apiserver.config.k8s.io/v1"},
          {"kind", "EncryptionConfiguration"},
          {"resources",
           Json::array({{{"resources", Json::array({"secrets"})}, {"providers", std::move(providers)}}})}};
}

}  // namespace tg::render
