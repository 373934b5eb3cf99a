// What the gateway does to requests. Envoy Gateway has typed objects for all of it; others get what the
// standard routes can say, and the rest is refused with its reason.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "render/component/components.hpp"
#include "render/component/ingress.hpp"

namespace tg::render {

namespace {

constexpr const char* kApi = "gateway.envoyproxy.io/v1alpha1";

Json limit_rule(const RateLimit& limit, bool per_client, const std::string& path) {
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
    // One count for all routes together.
    for (Json& rule : rules) rule["shared"] = true;
    Json policy = traffic_policy("all-requests", kGatewayNamespace, target("Gateway", kGatewayName));
    policy["spec"]["rateLimit"] = limits(std::move(rules));
    part.add("policies.yaml", std::move(policy));
  }
  for (const Published& p : all) {
    // Where the mesh chooses the replica, the cookie is the mesh's.
    const bool cookie = p.cookie_affinity && !sidecars_in(context, p.ns);
    if (p.rate_limit.empty() && !cookie && !p.web_socket) continue;
    Json policy = traffic_policy(route_name(p), p.ns, target("HTTPRoute", route_name(p)));
    Json& spec = policy["spec"];
    if (Json rules = limit_rules(context, &p); !rules.empty()) spec["rateLimit"] = limits(std::move(rules));
    if (cookie) {
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

Json header(const char* name, const char* value) { return {{"name", name}, {"value", value}}; }

Json client_policy(const Context& context) {
  Json out = object(kApi, "ClientTrafficPolicy", kGatewayName, kGatewayNamespace);
  Json spec{{"targetRefs", Json::array({target("Gateway", kGatewayName)})},
            {"tls", {{"minVersion", "1.2"}, {"alpnProtocols", {"h2", "http/1.1"}}}},
            {"http1", Json::object()},
            {"http2", {{"maxConcurrentStreams", 100}}},
            {"timeout", {{"http", {{"requestReceivedTimeout", "60s"}, {"idleTimeout", "1h"}}}}},
            {"connection", {{"connectionLimit", {{"value", 50000}}}, {"bufferLimit", "32Ki"}}}};
  spec.erase("http1");
  if (context.component("gateway").text("headers") == "strict") {
    // On every answer, those of the gateway itself too. A program that states what its pages may load knows
    // better.
    Json headers{{"set", strict_headers()}};
    headers["addIfAbsent"] = Json::array({content_policy()});
    spec["headers"] = {{"lateResponseHeaders", std::move(headers)}};
  }
  // The balancer hands the client's address over in front of the first byte; elsewhere the packet has it.
  if (context.site() == Site::aws) spec["proxyProtocol"] = {{"optional", false}};
  out["spec"] = std::move(spec);
  return out;
}

void add_firewall(Part& part, const Context& context) {
  const std::vector<std::string> rules = firewall_rules(context);
  if (rules.empty()) return;
  Json out = object(kApi, "EnvoyExtensionPolicy", "firewall", kGatewayNamespace);
  Json directives = Json::array({"Include @coraza.conf"});
  for (const std::string& rule : rules) directives.push_back(rule);
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
  const std::string name = login_secret(part, context, p.ns);
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

std::vector<std::string> firewall_rules(const Context& context) {
  const spec::Reader waf = context.component("gateway").sub("waf");
  if (waf.text("rules") != "owasp-crs") return {};
  return {waf.text("mode") == "block" ? "SecRuleEngine On" : "SecRuleEngine DetectionOnly",
          "SecRequestBodyAccess On", "SecRequestBodyLimit 4194304", "SecRequestBodyNoFilesLimit 4194304",
          // Answers are streams of tokens: looking into them would hold them back.
          "SecResponseBodyAccess Off",
          // What was held back stands in the proxy's log, without what the client sent: that may be a secret.
          "SecAuditEngine RelevantOnly", "SecAuditLogType Serial", "SecAuditLogFormat JSON",
          "SecAuditLogParts AHZ", "SecAuditLog /dev/stdout",
          // One sign of an attack that is beyond doubt is enough.
          "SecAction \"id:10001,phase:1,pass,nolog,t:none,setvar:tx.inbound_anomaly_score_threshold=5\"",
          // The rules' own list has no methods that change or remove something.
          "SecAction \"id:10002,phase:1,pass,nolog,t:none,setvar:'tx.allowed_methods=GET HEAD POST OPTIONS "
          "PUT PATCH DELETE'\""};
}

void add_firewall_file(Part& part, const Context& context) {
  const std::vector<std::string> rules = firewall_rules(context);
  if (rules.empty()) return;
  std::string text =
      "# Written by tidegate render. Change the document, not this file.\n"
      "# What the gateway's firewall is told beside the OWASP Core Rule Set, whose rules follow.\n";
  for (const std::string& rule : rules) text += rule + "\n";
  part.extras.push_back({"firewall.conf", std::move(text)});
}

Json strict_headers() {
  return Json::array({header("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
                      header("X-Frame-Options", "DENY"), header("X-Content-Type-Options", "nosniff"),
                      header("Referrer-Policy", "strict-origin-when-cross-origin")});
}

Json content_policy() {
  return header("Content-Security-Policy",
                "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
                "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self' wss:; "
                "font-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'none'");
}

std::string login_secret(Part& part, const Context& context, const std::string& ns) {
  const auto secret = context.spec().secret("access.login.oidc.clientSecret");
  const std::string name = "operator-login";
  for (const SecretNeed& s : part.secrets) {
    if (s.name == name && s.ns == ns) return name;
  }
  part.secrets.push_back({.name = name,
                          .ns = ns,
                          .keys = {"client-secret"},
                          .from = SecretNeed::From::reference,
                          .reference = secret ? describe(*secret) : "client secret of the login",
                          .why = "login of operators"});
  return name;
}

std::optional<RateLimit> parse_limit(const std::string& rate) {
  const std::size_t slash = rate.find('/');
  if (slash == std::string::npos) return std::nullopt;
  RateLimit out{std::atoi(rate.substr(0, slash).c_str()), {}};
  const std::string unit = rate.substr(slash + 1);
  out.unit = unit == "s" ? "Second" : unit == "m" ? "Minute" : "Hour";
  return out;
}

Json route_filters(const Context& context) {
  if (context.component("gateway").text("headers") != "strict") return Json::array();
  // Envoy Gateway has them in one place for all routes.
  if (context.use("gateway") == "envoy-gateway") return Json::array();
  Json set = strict_headers();
  set.push_back(content_policy());
  return Json::array(
      {{{"type", "ResponseHeaderModifier"}, {"responseHeaderModifier", {{"set", std::move(set)}}}}});
}

void add_gateway_policies(Part& part, const Context& context, const std::vector<Published>& all) {
  if (context.use("gateway") != "envoy-gateway") {
    const spec::Reader gateway = context.component("gateway");
    if (gateway.text("waf.rules") != "none") {
      context.refuse("gateway_cannot", gateway.at("waf"), gateway.where("waf"),
                     fmt::format("{} has no firewall", context.use("gateway")), "use gateway: envoy-gateway");
    }
    return;
  }
  add_traffic_policies(part, context, all);
  part.add("policies.yaml", client_policy(context));
  add_firewall(part, context);
  add_firewall_file(part, context);
  for (const Published& p : all) {
    if (p.operators_only) add_login(part, context, p);
  }
  const bool login = std::any_of(all.begin(), all.end(), [](const Published& p) { return p.operators_only; });
  for (const Peer& from :
       {gateway_peer(context), Peer::pods(kGatewayNamespace, {{"control-plane", "envoy-gateway"}})}) {
    if (login)
      part.edges.push_back({.from = from,
                            .to = Peer::everywhere(),
                            .ports = {{"https", 443}},
                            .why = "asks the issuer of the logins"});
  }
}

}  // namespace tg::render
