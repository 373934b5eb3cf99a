// The gateway's controller and its class. What hangs on it is in routes.cpp, what it does to requests in
// gateway_policies.cpp.
#include <fmt/format.h>

#include "catalog/images.hpp"
#include "render/component/components.hpp"
#include "render/component/ingress.hpp"
#include "render/component/observability.hpp"

namespace tg::render {

namespace {

constexpr const char* kLimits = "gateway-limits";
constexpr int kRedis = 6379;

int proxies(const Context& context) {
  return static_cast<int>(context.component("gateway").integer("replicas"));
}

bool shared_limits(const Context& context) {
  return !context.component("gateway").text("rateLimit.rate").empty() || [&context] {
    for (const auto& [name, app] : context.spec().named("apps")) {
      if (!app.text("rateLimit.rate").empty() || !app.named("paths").empty()) return true;
    }
    return false;
  }();
}

Json envoy_proxy(const Context& context) {
  Json out = object("gateway.envoyproxy.io/v1alpha1", "EnvoyProxy", kGatewayName, kGatewayNamespace);
  Json container{{"resources", to_json(context.size("gateway", "proxy"))}};
  Json pod{{"securityContext", {{"runAsNonRoot", true}, {"seccompProfile", {{"type", "RuntimeDefault"}}}}}};
  Json spread = Json::array();
  for (const char* key : {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}) {
    spread.push_back({{"maxSkew", 1},
                      {"topologyKey", key},
                      {"whenUnsatisfiable", "ScheduleAnyway"},
                      {"labelSelector", {{"matchLabels", to_json(gateway_peer(context).labels)}}}});
  }
  pod["topologySpreadConstraints"] = std::move(spread);
  const Placement where = context.add_on_placement();
  if (!where.node_selector.empty()) pod["nodeSelector"] = to_json(where.node_selector);
  if (!where.tolerations.empty()) pod["tolerations"] = where.tolerations;
  const bool waf = context.component("gateway").text("waf.rules") == "owasp-crs";
  if (waf) {
    pod["volumes"] = Json::array(
        {{{"name", "dynamic-modules"},
          {"image", {{"reference", catalog::image("envoy-coraza")}, {"pullPolicy", "IfNotPresent"}}}}});
    container["env"] = Json::array({env("GODEBUG", "cgocheck=0")});
    container["volumeMounts"] = Json::array(
        {{{"name", "dynamic-modules"}, {"mountPath", "/etc/envoy/dynamic-modules"}, {"readOnly", true}}});
  }
  Json service{{"type", context.cloud() ? "LoadBalancer" : "NodePort"}, {"externalTrafficPolicy", "Local"}};
  if (Labels annotations = balancer_annotations(context); !annotations.empty())
    service["annotations"] = to_json(annotations);
  const bool meshed = sidecars_anywhere(context);
  if (meshed) {
    // What comes in is for Envoy alone; what goes on to apps takes the way of the mesh.
    pod["labels"] = {{"sidecar.istio.io/inject", "true"}};
    pod["annotations"] = {{"traffic.sidecar.istio.io/includeInboundPorts", ""},
                          {"traffic.sidecar.istio.io/excludeOutboundPorts", "8081,18000,18002"}};
  }
  out["spec"] = {
      {"provider",
       {{"type", "Kubernetes"},
        {"kubernetes",
         {{"envoyDeployment",
           {{"replicas", proxies(context)}, {"container", std::move(container)}, {"pod", std::move(pod)}}},
          {"envoyPDB", {{"maxUnavailable", 1}}},
          {"envoyService", std::move(service)}}}}},
      {"shutdown", {{"drainTimeout", "60s"}}}};
  if (meshed) out["spec"]["routingType"] = "Service";
  if (waf) {
    out["spec"]["dynamicModules"] = Json::array(
        {{{"name", "composer"},
          {"source", {{"type", "Local"}, {"local", {{"path", "/etc/envoy/dynamic-modules/libcomposer.so"}}}}},
          {"doNotClose", true}}});
  }
  if (context.has("traces")) {
    out["spec"]["telemetry"] = {
        {"tracing",
         {{"samplingRate", static_cast<int>(context.component("traces").number("sampling") * 100)},
          {"provider",
           {{"type", "Zipkin"},
            {"backendRefs",
             Json::array({{{"name", context.use("traces")}, {"namespace", "tracing"}, {"port", 9411}}})}}}}}};
  }
  return out;
}

Json gateway_class() {
  Json out = object("gateway.networking.k8s.io/v1", "GatewayClass", kGatewayName);
  out["spec"] = {{"controllerName", "gateway.envoyproxy.io/gatewayclass-controller"},
                 {"parametersRef",
                  {{"group", "gateway.envoyproxy.io"},
                   {"kind", "EnvoyProxy"},
                   {"name", kGatewayName},
                   {"namespace", kGatewayNamespace}}}};
  return out;
}

// Counters of the limits, shared by all proxies. Lost counters cost nothing: no volume.
Json limits_values(const Context& context) {
  return {{"fullnameOverride", kLimits},
          {"auth", {{"enabled", false}}},
          {"dataStorage", {{"enabled", false}}},
          {"replica", {{"enabled", false}}},
          {"resources", to_json(context.size("gateway", "limits"))}};
}

Part envoy(const Context& context) {
  Part part = component("gateway");
  part.after = {"namespaces", "network-policies"};
  if (!gateway_first(context)) part.after.insert(part.after.end(), {"gateway-crds", "certificates"});
  part.namespaces.push_back({.name = kGatewayNamespace});
  Json config{{"gateway", {{"controllerName", "gateway.envoyproxy.io/gatewayclass-controller"}}},
              {"extensionApis", {{"enableEnvoyPatchPolicy", false}}}};
  const bool limits = shared_limits(context);
  if (limits) {
    config["rateLimit"] = {
        {"backend",
         {{"type", "Redis"},
          {"redis", {{"url", fmt::format("{}.{}.svc:{}", kLimits, kGatewayNamespace, kRedis)}}}}}};
    part.releases.push_back(
        {.chart = "valkey", .release = kLimits, .ns = kGatewayNamespace, .values = limits_values(context)});
    const Labels store{{"app.kubernetes.io/instance", kLimits}};
    part.edges.push_back(
        {.from = Peer::pods(kGatewayNamespace, {{"app.kubernetes.io/component", "ratelimit"}}),
         .to = Peer::pods(kGatewayNamespace, store),
         .ports = {{"redis", kRedis}},
         .why = "counts requests of all proxies together"});
    const Peer counters = Peer::pods(kGatewayNamespace, {{"app.kubernetes.io/component", "ratelimit"}});
    part.edges.push_back({.from = gateway_peer(context),
                          .to = counters,
                          .ports = {{"grpc", 8081}},
                          .why = "asks whether a request is within its limit"});
    part.edges.push_back({.from = counters,
                          .to = Peer::pods(kGatewayNamespace, {{"control-plane", "envoy-gateway"}}),
                          .ports = {{"xds-limits", 18001}},
                          .why = "gets the limits"});
    if (context.has("metrics"))
      part.edges.push_back({.from = prometheus_peer(),
                            .to = counters,
                            .ports = {{"metrics", 19001}},
                            .why = "scrapes metrics"});
  }
  Json deployment{{"replicas", context.replicas("gateway", "controller")},
                  {"envoyGateway", {{"resources", to_json(context.size("gateway", "controller"))}}}};
  const Placement where = context.add_on_placement();
  if (!where.node_selector.empty() || !where.tolerations.empty()) {
    deployment["pod"] = {{"nodeSelector", to_json(where.node_selector)}, {"tolerations", where.tolerations}};
  }
  Json values{{"deployment", std::move(deployment)},
              {"podDisruptionBudget", {{"minAvailable", 1}}},
              {"config", {{"envoyGateway", std::move(config)}}}};
  part.releases.push_back({.chart = "gateway-helm",
                           .release = "envoy-gateway",
                           .ns = kGatewayNamespace,
                           .values = std::move(values)});
  part.add("class.yaml", envoy_proxy(context));
  part.add("class.yaml", gateway_class());
  const Labels controller{{"control-plane", "envoy-gateway"}};
  part.edges.push_back({.from = Peer::pods(kGatewayNamespace, controller),
                        .to = Peer::api_server(),
                        .why = "reads routes, makes proxies"});
  part.edges.push_back(
      {.from = Peer::pods(kGatewayNamespace, {{"app", "certgen"}}),
       .to = Peer::api_server(),
       .why = "makes the certificates between controller and proxies before the first start"});
  part.edges.push_back({.from = Peer::api_server(),
                        .to = Peer::pods(kGatewayNamespace, controller),
                        .ports = {{"webhook", 9443}},
                        .why = "asks in which zone a proxy is"});
  if (context.has("traces"))
    part.edges.push_back({.from = gateway_peer(context),
                          .to = observability::traces_peer(context),
                          .ports = {{"zipkin", 9411}},
                          .why = "sends traces"});
  part.edges.push_back({.from = gateway_peer(context),
                        .to = Peer::pods(kGatewayNamespace, controller),
                        .ports = {{"xds", 18000}, {"wasm", 18002}},
                        .why = "gets its configuration"});
  part.edges.push_back({.from = Peer::everywhere(),
                        .to = gateway_peer(context),
                        .ports = {{"http", 10080}, {"https", 10443}},
                        .why = "users come in"});
  if (context.has("metrics")) {
    for (const Labels& pods : {controller, gateway_peer(context).labels})
      part.edges.push_back({.from = prometheus_peer(),
                            .to = Peer::pods(kGatewayNamespace, pods),
                            .ports = {{"metrics", 19001}},
                            .why = "scrapes metrics"});
    Json monitor = object("monitoring.coreos.com/v1", "PodMonitor", "gateway-proxies", kGatewayNamespace);
    monitor["spec"] = {
        {"selector", {{"matchLabels", to_json(gateway_peer(context).labels)}}},
        {"podMetricsEndpoints", Json::array({{{"port", "metrics"}, {"path", "/stats/prometheus"}}})}};
    part.add("monitor.yaml", std::move(monitor));
    part.alerts.push_back(
        {.name = "GatewayErrorRateHigh",
         .expr = "sum(rate(envoy_http_downstream_rq_xx{envoy_response_code_class=\"5\"}[5m])) / "
                 "sum(rate(envoy_http_downstream_rq_completed[5m])) > 0.05",
         .duration = "5m",
         .severity = "critical",
         .summary = "More than 5 % of all requests fail",
         .description = "{{ $value | humanizePercentage }} of the requests of the last 5 minutes were "
                        "answered with 5xx.",
         .action = "Look at the dashboard of the gateway: which route; then at the logs of its app.",
         .input = {{"envoy_http_downstream_rq_xx{envoy_response_code_class=\"5\"}", "0+10x60"},
                   {"envoy_http_downstream_rq_completed", "0+100x60"}},
         .quiet = "3m",
         .fires = "20m",
         .value = "10%"});
  }
  return part;
}

Part traefik(const Context& context) {
  Part part = component("gateway");
  part.after = {"namespaces", "network-policies", "gateway-crds"};
  part.namespaces.push_back({.name = kGatewayNamespace});
  Json values{
      {"deployment", {{"replicas", proxies(context)}}},
      {"providers",
       {{"kubernetesGateway", {{"enabled", true}}}, {"kubernetesIngress", {{"enabled", false}}}}},
      {"gateway", {{"enabled", false}}},
      {"gatewayClass", {{"enabled", true}, {"name", "traefik"}}},
      {"podDisruptionBudget", {{"enabled", true}, {"maxUnavailable", 1}}},
      {"resources", to_json(context.size("gateway", "proxy"))},
      {"service",
       {{"spec",
         {{"type", context.cloud() ? "LoadBalancer" : "NodePort"}, {"externalTrafficPolicy", "Local"}}}}}};
  part.releases.push_back(
      {.chart = "traefik", .release = "traefik", .ns = kGatewayNamespace, .values = std::move(values)});
  part.edges.push_back({.from = Peer::pods(kGatewayNamespace, {{"app.kubernetes.io/name", "traefik"}}),
                        .to = Peer::api_server(),
                        .why = "reads routes"});
  return part;
}

}  // namespace

// Without the client's address all clients would be one.
Labels balancer_annotations(const Context& context) {
  switch (context.site()) {
    case Site::aws:
      return {{"service.beta.kubernetes.io/aws-load-balancer-type", "external"},
              {"service.beta.kubernetes.io/aws-load-balancer-nlb-target-type", "ip"},
              {"service.beta.kubernetes.io/aws-load-balancer-scheme", "internet-facing"},
              {"service.beta.kubernetes.io/aws-load-balancer-target-group-attributes",
               "proxy_protocol_v2.enabled=true"},
              {"service.beta.kubernetes.io/aws-load-balancer-eip-allocations", "output:gateway_address_ids"}};
    case Site::google:
      // A reserved address needs the newer kind of balancer.
      return {{"cloud.google.com/l4-rbs", "enabled"},
              {"networking.gke.io/load-balancer-ip-addresses", "output:gateway_address_name"}};
    case Site::azure:
      return {
          {"service.beta.kubernetes.io/azure-pip-name", "output:gateway_address_name"},
          {"service.beta.kubernetes.io/azure-load-balancer-resource-group", "output:gateway_address_group"}};
    case Site::open_telekom_cloud:
      return {{"kubernetes.io/elb.class", "union"}, {"kubernetes.io/elb.id", "output:gateway_balancer_id"}};
    default:
      return {};
  }
}

std::vector<Part> gateway(const Context& context) {
  const std::string use = context.use("gateway");
  if (use == "envoy-gateway") return {envoy(context)};
  // k3s brings Traefik; its settings stand with the machine's.
  if (use == "traefik" && context.site() != Site::k3s) return {traefik(context)};
  if (use == "ingress-nginx") return {ingress_nginx(context)};
  return {};
}

}  // namespace tg::render
