// What the gateway does to requests. Envoy Gateway has typed objects for all of it; others get what the
// standard routes can say, and the rest is refused with its reason.
#include <fmt/format.h>

#include <optional>

#include "render/component/components.hpp"

namespace tg::render {

namespace {

constexpr const char* kApi = "gateway.envoyproxy.io/v1alpha1";

struct Limit {
  int requests = 0;
  std::string unit;
};

// "100/s" → 100 a Second.
std::optional<Limit> parse_limit(const std::string& rate) {
  const std::size_t slash = rate.find('/');
  if (slash == std::string::npos) return std::nullopt;
  Limit out{std::atoi(rate.substr(0, slash).c_str()), {}};
  const std::string unit = rate.substr(slash + 1);
  out.unit = unit == "s" ? "Second" : unit == "m" ? "Minute" : "Hour";
  return out;
}

Json limit_rule(const Limit& limit, bool per_client, const std::string& path) {
  Json rule = Json::object();
  Json selector = Json::object();
  if (per_client) selector["sourceCIDR"] = {{"type", "Distinct"}, {"value", "0.0.0.0/0"}};
  if (!path.empty() && path != "/") selector["path"] = {{"type", "PathPrefix"}, {"value", path}};
  if (!selector.empty()) rule["clientSelectors"] = Json::array({std::move(selector)});
  rule["limit"] = {{"requests", limit.requests}, {"unit", limit.unit}};
  return rule;
}

Json target(const char* kind, const std::string& name) {
  return {{"group", "gateway.networking.k8s.io"}, {"kind", kind}, {"name", name}};
}

Json traffic_policy(const std::string& name, const std::string& ns, Json target_ref) {
  Json out = object(kApi, "BackendTrafficPolicy", name, ns);
  out["spec"] = {{"targetRefs", Json::array({std::move(target_ref)})}};
  return out;
}

// Rules of the gateway and, for a route, its own. A route's policy replaces the gateway's, so a route repeats
// what holds for all.
Json limit_rules(const Context& context, const Published* p) {
  Json rules = Json::array();
  const spec::Reader gateway = context.component("gateway");
  if (const auto all = parse_limit(gateway.text("rateLimit.rate")))
    rules.push_back(limit_rule(*all, gateway.text("rateLimit.per") == "client", {}));
  if (p != nullptr) {
    if (const auto own = parse_limit(p->rate_limit)) rules.push_back(limit_rule(*own, true, p->path));
  }
  return rules;
}

Json limits(Json rules) { return {{"type", "Global"}, {"global", {{"rules", std::move(rules)}}}}; }

void add_traffic_policies(Part& part, const Context& context, const std::vector<Published>& all) {
  if (Json rules = limit_rules(context, nullptr); !rules.empty()) {
    Json policy = traffic_policy("all-requests", kGatewayNamespace, target("Gateway", kGatewayName));
    policy["spec"]["rateLimit"] = limits(std::move(rules));
    part.add("policies.yaml", std::move(policy));
  }
  for (const Published& p : all) {
    if (p.rate_limit.empty() && !p.cookie_affinity && !p.web_socket) continue;
    Json policy = traffic_policy(route_name(p), p.ns, target("HTTPRoute", route_name(p)));
    Json& spec = policy["spec"];
    if (Json rules = limit_rules(context, &p); !rules.empty()) spec["rateLimit"] = limits(std::move(rules));
    if (p.cookie_affinity) {
      spec["loadBalancer"] = {
          {"type", "ConsistentHash"},
          {"consistentHash",
           {{"type", "Cookie"}, {"cookie", {{"name", p.service + "-affinity"}, {"ttl", "1h"}}}}}};
    }
    if (p.web_socket) {
      spec["httpUpgrade"] = Json::array({{{"type", "websocket"}}});
      spec["timeout"] = {{"http", {{"requestTimeout", "0s"}}}};
    }
    part.add("policies.yaml", std::move(policy));
  }
}

Json client_policy(const Context& context) {
  Json out = object(kApi, "ClientTrafficPolicy", kGatewayName, kGatewayNamespace);
  Json spec{{"targetRefs", Json::array({target("Gateway", kGatewayName)})},
            {"tls", {{"minVersion", "1.2"}, {"alpnProtocols", {"h2", "http/1.1"}}}},
            {"http1", Json::object()},
            {"http2", {{"maxConcurrentStreams", 100}}},
            {"timeout", {{"http", {{"requestReceivedTimeout", "60s"}, {"idleTimeout", "1h"}}}}},
            {"connection", {{"connectionLimit", {{"value", 50000}}}, {"bufferLimit", "32Ki"}}}};
  spec.erase("http1");
  // The balancer hands the client's address over in front of the first byte; elsewhere the packet has it.
  if (context.site() == Site::aws) spec["proxyProtocol"] = {{"optional", false}};
  out["spec"] = std::move(spec);
  return out;
}

void add_firewall(Part& part, const Context& context) {
  const spec::Reader waf = context.component("gateway").sub("waf");
  if (waf.text("rules") != "owasp-crs") return;
  Json out = object(kApi, "EnvoyExtensionPolicy", "firewall", kGatewayNamespace);
  Json directives = Json::array({"Include @coraza.conf"});
  directives.push_back(waf.text("mode") == "block" ? "SecRuleEngine On" : "SecRuleEngine DetectionOnly");
  directives.push_back("SecRequestBodyLimit 4194304");
  // Answers are streams of tokens: looking into them would hold them back.
  directives.push_back("SecResponseBodyAccess Off");
  directives.push_back("Include @crs-setup.conf");
  directives.push_back("Include @owasp_crs/*.conf");
  out["spec"] = {{"targetRefs", Json::array({target("Gateway", kGatewayName)})},
                 {"dynamicModule", Json::array({{{"name", "composer"},
                                                 {"filterName", "coraza-waf"},
                                                 {"config", {{"directives", std::move(directives)}}}}})}};
  part.add("policies.yaml", std::move(out));
}

void add_login(Part& part, const Context& context, const Published& p) {
  const spec::Reader oidc = context.spec().sub("access.login.oidc");
  const auto secret = oidc.secret("clientSecret");
  const std::string name = "operator-login";
  bool known = false;
  for (const SecretNeed& s : part.secrets) known |= s.name == name && s.ns == p.ns;
  if (!known) {
    part.secrets.push_back({.name = name,
                            .ns = p.ns,
                            .keys = {"client-secret"},
                            .from = SecretNeed::From::reference,
                            .reference = secret ? describe(*secret) : "client secret of the login",
                            .why = "login of operators"});
  }
  Json out = object(kApi, "SecurityPolicy", route_name(p), p.ns);
  out["spec"] = {{"targetRefs", Json::array({target("HTTPRoute", route_name(p))})},
                 {"oidc",
                  {{"provider", {{"issuer", oidc.text("issuer")}}},
                   {"clientID", oidc.text("clientId")},
                   {"clientSecret", {{"name", name}}},
                   {"redirectURL", fmt::format("https://{}/oauth2/callback", p.host)},
                   {"logoutPath", "/logout"},
                   {"cookieConfig", {{"sameSite", "Lax"}}}}}};
  part.add("policies.yaml", std::move(out));
}

}  // namespace

Json route_filters(const Context& context) {
  if (context.component("gateway").text("headers") != "strict") return Json::array();
  const auto header = [](const char* name, const char* value) {
    return Json{{"name", name}, {"value", value}};
  };
  Json set = Json::array({header("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
                          header("X-Frame-Options", "DENY"), header("X-Content-Type-Options", "nosniff"),
                          header("Referrer-Policy", "strict-origin-when-cross-origin"),
                          header("Content-Security-Policy",
                                 "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
                                 "style-src 'self' 'unsafe-inline'; "
                                 "img-src 'self' data: blob:; connect-src 'self' wss:; font-src 'self' "
                                 "data:; worker-src 'self' blob:; "
                                 "frame-ancestors 'none'")});
  return Json::array(
      {{{"type", "ResponseHeaderModifier"}, {"responseHeaderModifier", {{"set", std::move(set)}}}}});
}

void add_gateway_policies(Part& part, const Context& context, const std::vector<Published>& all) {
  if (context.use("gateway") != "envoy-gateway") {
    const spec::Reader gateway = context.component("gateway");
    if (context.use("gateway") != "ingress-nginx" && gateway.text("waf.rules") != "none") {
      context.refuse("gateway_cannot", gateway.at("waf"), gateway.where("waf"),
                     fmt::format("{} has no firewall", context.use("gateway")), "use gateway: envoy-gateway");
    }
    return;
  }
  add_traffic_policies(part, context, all);
  part.add("policies.yaml", client_policy(context));
  add_firewall(part, context);
  for (const Published& p : all) {
    if (p.operators_only) add_login(part, context, p);
  }
}

}  // namespace tg::render
