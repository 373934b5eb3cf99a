// ingress-nginx, which is retired and reported: its controller, and an Ingress in place of each route. It
// knows no Gateway API; a login stands in front of it as a program of its own.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "catalog/images.hpp"
#include "render/component/components.hpp"
#include "render/component/ingress.hpp"

namespace tg::render {

namespace {

constexpr const char* kClass = "nginx";
constexpr const char* kLogin = "operator-login";
constexpr int kLoginPort = 4180;
constexpr int kAfterMesh = 27;

Json settings(const Context& context) {
  Json out{{"use-http2", "true"},
           {"ssl-protocols", "TLSv1.2 TLSv1.3"},
           {"server-tokens", "false"},
           {"limit-req-status-code", "429"},
           {"proxy-body-size", "4m"}};
  if (context.component("gateway").text("headers") == "strict") {
    out["hsts"] = "true";
    out["hsts-max-age"] = "31536000";
    out["hsts-include-subdomains"] = "true";
  }
  if (context.site() == Site::aws) out["use-proxy-protocol"] = "true";
  const std::vector<std::string> rules = firewall_rules(context);
  if (rules.empty()) return out;
  out["enable-modsecurity"] = "true";
  out["enable-owasp-modsecurity-crs"] = "true";
  std::string snippet;
  for (const std::string& rule : rules) snippet += rule + "\n";
  // It comes to stand between single quotes.
  for (std::size_t at = 0; (at = snippet.find('\'', at)) != std::string::npos; at += 2)
    snippet.insert(at, "\\");
  out["modsecurity-snippet"] = std::move(snippet);
  return out;
}

Json spread() {
  Json out = Json::array();
  for (const char* key : {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}) {
    out.push_back(
        {{"maxSkew", 1},
         {"topologyKey", key},
         {"whenUnsatisfiable", "ScheduleAnyway"},
         {"labelSelector",
          {{"matchLabels",
            {{"app.kubernetes.io/name", "ingress-nginx"}, {"app.kubernetes.io/component", "controller"}}}}}});
  }
  return out;
}

Json controller(const Context& context) {
  const bool metrics = context.has("metrics");
  Json out{{"replicaCount", context.component("gateway").integer("replicas")},
           {"minAvailable", 1},
           {"config", settings(context)},
           {"allowSnippetAnnotations", false},
           {"enableAnnotationValidations", true},
           {"ingressClassResource", {{"name", kClass}, {"default", true}}},
           {"topologySpreadConstraints", spread()},
           {"resources", to_json(context.size("gateway", "proxy"))},
           {"metrics", {{"enabled", metrics}, {"serviceMonitor", {{"enabled", metrics}}}}}};
  if (context.component("gateway").text("headers") == "strict") {
    Json headers = Json::object();
    for (const Json& h : strict_headers()) {
      // The one about encryption has a switch of its own.
      if (h["name"] != "Strict-Transport-Security") headers[h["name"].get<std::string>()] = h["value"];
    }
    const Json policy = content_policy();
    headers[policy["name"].get<std::string>()] = policy["value"];
    out["addHeaders"] = std::move(headers);
  }
  if (sidecars_anywhere(context)) {
    out["podLabels"] = {{"sidecar.istio.io/inject", "true"}};
    out["podAnnotations"] = {{"traffic.sidecar.istio.io/includeInboundPorts", ""}};
  }
  Json service{{"externalTrafficPolicy", "Local"}, {"type", gateway_service_type(context)}};
  if (const auto ports = gateway_node_ports(context))
    service["nodePorts"] = {{"http", std::to_string(ports->http)}, {"https", std::to_string(ports->https)}};
  if (Labels annotations = balancer_annotations(context); !annotations.empty())
    service["annotations"] = to_json(annotations);
  out["service"] = std::move(service);
  const Placement where = context.add_on_placement();
  if (!where.node_selector.empty()) out["nodeSelector"] = to_json(where.node_selector);
  if (!where.tolerations.empty()) out["tolerations"] = where.tolerations;
  return out;
}

void add_edges(Part& part, const Context& context) {
  const Peer pods = gateway_peer(context);
  part.edges.push_back({.from = pods, .to = Peer::api_server(), .why = "reads Ingresses"});
  part.edges.push_back({.from = Peer::api_server(),
                        .to = pods,
                        .ports = {{"webhook", 8443}},
                        .why = "asks whether an Ingress can be served"});
  part.edges.push_back({.from = Peer::everywhere(),
                        .to = pods,
                        .ports = {{"http", 80}, {"https", 443}},
                        .why = "users come in"});
  if (context.has("metrics"))
    part.edges.push_back(
        {.from = prometheus_peer(), .to = pods, .ports = {{"metrics", 10254}}, .why = "scrapes metrics"});
}

// The tighter of the gateway's limit and the app's own, for each unit. It counts each client, at each proxy
// by itself.
void add_limits(Json& annotations, const Context& context, const Published& p) {
  const spec::Reader gateway = context.component("gateway");
  if (gateway.has("rateLimit") && gateway.text("rateLimit.per") == "gateway") {
    context.refuse("gateway_cannot", gateway.at("rateLimit"), gateway.where("rateLimit.per"),
                   "ingress-nginx counts each client by itself", "use gateway: envoy-gateway");
  }
  int second = 0, minute = 0;
  for (const std::string& rate : {gateway.text("rateLimit.rate"), p.rate_limit}) {
    const auto limit = parse_limit(rate);
    if (!limit) continue;
    if (limit->unit == "Hour") {
      context.refuse("gateway_cannot", gateway.at(), gateway.where(""),
                     fmt::format("ingress-nginx has no limit for an hour: {}", rate),
                     "write it for a minute");
      continue;
    }
    int& known = limit->unit == "Second" ? second : minute;
    known = known == 0 ? limit->requests : std::min(known, limit->requests);
  }
  const char* prefix = "nginx.ingress.kubernetes.io/";
  if (second > 0) annotations[fmt::format("{}limit-rps", prefix)] = std::to_string(second);
  if (minute > 0) annotations[fmt::format("{}limit-rpm", prefix)] = std::to_string(minute);
  if (second > 0 || minute > 0) annotations[fmt::format("{}limit-burst-multiplier", prefix)] = "1";
}

void add_login_annotations(Json& annotations, const Context& context) {
  annotations["nginx.ingress.kubernetes.io/auth-url"] =
      fmt::format("http://{}.{}.svc.{}:{}/oauth2/auth", kLogin, kGatewayNamespace,
                  context.spec().text("cluster.networks.domain"), kLoginPort);
  annotations["nginx.ingress.kubernetes.io/auth-signin"] =
      "https://$host/oauth2/start?rd=$escaped_request_uri";
}

Json annotations(const Context& context, const Published& p) {
  Json out = Json::object();
  const std::string prefix = "nginx.ingress.kubernetes.io/";
  if (context.has("certificates")) {
    out["cert-manager.io/cluster-issuer"] = certificate_issuer(context);
    out[prefix + "ssl-redirect"] = "true";
  }
  add_limits(out, context, p);
  if (sidecars_in(context, p.ns)) {
    // The sidecar knows services, not the pods behind them, and by their own names only.
    out[prefix + "service-upstream"] = "true";
    out[prefix + "upstream-vhost"] = fmt::format("{}.{}.svc.cluster.local", p.service, p.ns);
  } else if (p.cookie_affinity) {
    out[prefix + "affinity"] = "cookie";
    out[prefix + "affinity-mode"] = "persistent";
    out[prefix + "session-cookie-name"] = p.service + "-affinity";
    out[prefix + "session-cookie-max-age"] = "3600";
    out[prefix + "session-cookie-samesite"] = "Lax";
    out[prefix + "session-cookie-secure"] = "true";
  }
  if (p.web_socket) {
    out[prefix + "proxy-read-timeout"] = "3600";
    out[prefix + "proxy-send-timeout"] = "3600";
  }
  if (p.operators_only) add_login_annotations(out, context);
  return out;
}

Json ingress(const Context& context, const std::string& name, const Published& p, Json notes) {
  Json out = object("networking.k8s.io/v1", "Ingress", name, p.ns);
  if (!notes.empty()) out["metadata"]["annotations"] = std::move(notes);
  Json path{{"path", p.path},
            {"pathType", "Prefix"},
            {"backend", {{"service", {{"name", p.service}, {"port", {{"number", p.port}}}}}}}};
  out["spec"] = {
      {"ingressClassName", kClass},
      {"rules", Json::array({{{"host", p.host}, {"http", {{"paths", Json::array({std::move(path)})}}}}})}};
  if (context.has("certificates"))
    out["spec"]["tls"] = Json::array(
        {{{"hosts", Json::array({p.host})}, {"secretName", route_name(Published{.host = p.host}) + "-tls"}}});
  return out;
}

Pod login_pod(const Context& context, const std::string& secret, const std::string& domain) {
  const spec::Reader oidc = context.spec().sub("access.login.oidc");
  Container c{.name = "oauth2-proxy", .image = catalog::image("oauth2-proxy")};
  c.args = {"--provider=oidc",
            "--oidc-issuer-url=" + oidc.text("issuer"),
            "--client-id=" + oidc.text("clientId"),
            "--email-domain=*",
            "--upstream=static://202",
            fmt::format("--http-address=0.0.0.0:{}", kLoginPort),
            "--reverse-proxy=true",
            "--skip-provider-button=true",
            "--cookie-secure=true",
            "--cookie-samesite=lax",
            "--cookie-domain=." + domain,
            "--whitelist-domain=." + domain};
  c.env = {env_from_secret("OAUTH2_PROXY_CLIENT_SECRET", secret, "client-secret"),
           env_from_secret("OAUTH2_PROXY_COOKIE_SECRET", secret + "-cookie", "cookie-secret")};
  c.ports = {{"http", kLoginPort}};
  c.readiness = http_probe("/ready", "http");
  c.liveness = http_probe("/ping", "http", 20, 6);
  c.resources = context.size("gateway", "login");
  Pod pod;
  pod.containers = {std::move(c)};
  pod.placement = context.add_on_placement();
  return pod;
}

void add_login(Part& part, const Context& context, const std::set<std::string>& hosts) {
  const std::string secret = login_secret(part, context, kGatewayNamespace);
  part.secrets.push_back({.name = secret + "-cookie",
                          .ns = kGatewayNamespace,
                          .keys = {"cookie-secret"},
                          .why = "signs the cookies of operators"});
  const int replicas = context.replicas("gateway", "login");
  part.add("login.yaml", deployment(kLogin, kGatewayNamespace, replicas,
                                    login_pod(context, secret, context.spec().text("domain"))));
  part.add("login.yaml", service(kLogin, kGatewayNamespace, selector(kLogin), {{"http", kLoginPort}}));
  if (replicas > 1) part.add("login.yaml", disruption_budget(kLogin, kGatewayNamespace, selector(kLogin)));
  const Peer login = Peer::pods(kGatewayNamespace, selector(kLogin));
  part.edges.push_back({.from = gateway_peer(context),
                        .to = login,
                        .ports = {{"http", kLoginPort}},
                        .why = "asks who an operator is"});
  part.edges.push_back({.from = login,
                        .to = Peer::everywhere(),
                        .ports = {{"https", 443}},
                        .why = "asks the issuer of the logins"});
  for (const std::string& host : hosts) {
    const Published p{
        .host = host, .path = "/oauth2", .ns = kGatewayNamespace, .service = kLogin, .port = kLoginPort};
    part.add("login.yaml", ingress(context, route_name(p), p, Json::object()));
  }
}

}  // namespace

Part ingress_nginx(const Context& context) {
  context.warn(
      "component_retired", context.spec().at("components.gateway"), "spec.components.gateway",
      "ingress-nginx is retired: 4.15.1 is its last release and known holes stay open; its limits count "
      "at each proxy by itself",
      "leave components.gateway out: envoy-gateway");
  Part part = component("gateway");
  part.after = {"namespaces", "network-policies"};
  // Its pods get their sidecars when they are made.
  if (sidecars_anywhere(context)) {
    part.order = kAfterMesh;
    part.after.emplace_back("mesh");
  }
  part.namespaces.push_back({.name = kGatewayNamespace});
  part.releases.push_back({.chart = "ingress-nginx",
                           .release = "ingress-nginx",
                           .ns = kGatewayNamespace,
                           .values = {{"controller", controller(context)}}});
  add_edges(part, context);
  return part;
}

void add_ingresses(Part& part, const Context& context, const std::vector<Published>& all) {
  std::set<std::string> operators, namespaces;
  for (const Published& p : all) {
    part.add("ingresses.yaml", ingress(context, route_name(p), p, annotations(context, p)));
    if (p.operators_only) operators.insert(p.host);
    namespaces.insert(p.ns);
  }
  for (const std::string& ns : namespaces) {
    part.edges.push_back({.from = gateway_peer(context),
                          .to = Peer::pods(ns, {{"acme.cert-manager.io/http01-solver", "true"}}),
                          .ports = {{"http", 8089}},
                          .why = "answers the challenges of the certificate authority"});
  }
  if (!operators.empty()) add_login(part, context, operators);
  add_firewall_file(part, context);
}

}  // namespace tg::render
