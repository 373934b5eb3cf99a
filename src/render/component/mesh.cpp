// Istio: mutual TLS for everything, and with sidecars canaries, retries, breakers and authorization from the
// same edges that make the network policies. A collector.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "render/component/cert_manager.hpp"
#include "render/component/components.hpp"
#include "render/component/ingress.hpp"
#include "render/component/observability.hpp"

namespace tg::render {

namespace {

constexpr const char* kNamespace = "istio-system";

Json istiod_values(const Context& context, bool ambient) {
  Json mesh{{"enableTracing", context.has("traces")}, {"outboundTrafficPolicy", {{"mode", "ALLOW_ANY"}}}};
  if (context.has("traces")) {
    mesh["extensionProviders"] =
        Json::array({{{"name", "traces"},
                      {"zipkin",
                       {{"service", fmt::format("{}.tracing.svc.cluster.local", context.use("traces"))},
                        {"port", 9411}}}}});
  }
  Json out{{"replicaCount", context.replicas("mesh", "istiod")},
           {"autoscaleEnabled", false},
           {"resources", to_json(context.size("mesh", "istiod"))},
           {"meshConfig", std::move(mesh)}};
  if (ambient) {
    out["profile"] = "ambient";
  } else {
    // Without it every pod would need NET_ADMIN for its own iptables, which restricted namespaces refuse.
    out["cni"] = {{"enabled", true}};
    const Resources side = context.size("mesh", "sidecar");
    out["global"] = {{"proxy", {{"resources", to_json(side)}}}};
  }
  return out;
}

Json strict() {
  Json out = object("security.istio.io/v1", "PeerAuthentication", "default", kNamespace);
  out["spec"] = {{"mtls", {{"mode", "STRICT"}}}};
  return out;
}

Json telemetry(const Context& context) {
  Json out = object("telemetry.istio.io/v1", "Telemetry", "traces", kNamespace);
  out["spec"] = {
      {"tracing",
       Json::array({{{"providers", Json::array({{{"name", "traces"}}})},
                     {"randomSamplingPercentage", context.component("traces").number("sampling") * 100}}})}};
  return out;
}

struct App {
  std::string name, ns;
  int port = 0;
  bool canary = false;
  double weight = 0;
  bool affinity = false;  // requests of one client go to one replica
};

std::string namespace_of(const Context& context, const spec::Reader& app) {
  const std::string tenant = app.text("tenant");
  return tenant.empty() ? context.name() : tenant;
}

// Retries, breaker and, while a canary runs, the share of each version.
void add_traffic(Part& part, const Context& context, const App& app) {
  const spec::Reader mesh = context.component("mesh");
  Json destination = object("networking.istio.io/v1", "DestinationRule", app.name, app.ns);
  const std::string host = fmt::format("{}.{}.svc.cluster.local", app.name, app.ns);
  const auto eject = static_cast<std::int64_t>(mesh.seconds("breaker.eject"));
  destination["spec"] = {
      {"host", host},
      {"trafficPolicy",
       {{"connectionPool", {{"http", {{"http1MaxPendingRequests", 1024}, {"maxRequestsPerConnection", 0}}}}},
        {"outlierDetection",
         {{"consecutive5xxErrors", mesh.integer("breaker.errors")},
          {"interval", "10s"},
          {"baseEjectionTime", fmt::format("{}s", eject)},
          {"maxEjectionPercent", 50}}}}}};
  // The gateway's own sidecar chooses the replica, so the cookie is its.
  if (app.affinity) {
    const Json cookie{{"name", app.name + "-affinity"}, {"path", "/"}, {"ttl", "3600s"}};
    destination["spec"]["trafficPolicy"]["loadBalancer"] = {{"consistentHash", {{"httpCookie", cookie}}}};
  }
  Json stable{{"destination", {{"host", host}}}};
  Json routes = Json::array();
  if (app.canary) {
    destination["spec"]["subsets"] = Json::array({{{"name", "stable"}, {"labels", {{"version", "stable"}}}},
                                                  {{"name", "canary"}, {"labels", {{"version", "canary"}}}}});
    const int share = static_cast<int>(app.weight * 100 + 0.5);
    routes.push_back({{"destination", {{"host", host}, {"subset", "stable"}}}, {"weight", 100 - share}});
    routes.push_back({{"destination", {{"host", host}, {"subset", "canary"}}}, {"weight", share}});
  } else {
    routes.push_back(std::move(stable));
  }
  Json service = object("networking.istio.io/v1", "VirtualService", app.name, app.ns);
  service["spec"] = {
      {"hosts", Json::array({host})},
      {"http",
       Json::array({{{"route", std::move(routes)},
                     // Only what no program has begun with is tried again; a try may stream for long.
                     {"retries",
                      {{"attempts", mesh.integer("retries")},
                       {"retryOn", "connect-failure,refused-stream,reset-before-request,unavailable"}}}}})}};
  part.add("traffic.yaml", std::move(destination));
  part.add("traffic.yaml", std::move(service));
}

bool reaches(const Edge& edge, int port) {
  return edge.ports.empty() || std::any_of(edge.ports.begin(), edge.ports.end(),
                                           [port](const Port& p) { return p.number == port; });
}

// Who may call an app, by the identities of the callers: the edges again.
void add_authorization(Part& part, const std::vector<Part>& parts, const App& app) {
  std::set<std::string> namespaces, principals;
  for (const Part& p : parts) {
    for (const Edge& e : p.edges) {
      if (e.to.kind != Peer::Kind::pods || e.to.ns != app.ns || !reaches(e, app.port)) continue;
      const auto name = e.to.labels.find("app.kubernetes.io/name");
      if (name == e.to.labels.end() || name->second != app.name || e.from.kind != Peer::Kind::pods) continue;
      const auto from = e.from.labels.find("app.kubernetes.io/name");
      if (e.from.ns == app.ns && from != e.from.labels.end()) {
        principals.insert(fmt::format("cluster.local/ns/{}/sa/{}", e.from.ns, from->second));
      } else {
        namespaces.insert(e.from.ns);
      }
    }
  }
  Json rules = Json::array();
  const auto from = [](const char* key, const std::set<std::string>& values) {
    return Json{
        {"from",
         Json::array({{{"source", {{key, std::vector<std::string>(values.begin(), values.end())}}}}})}};
  };
  if (!principals.empty()) rules.push_back(from("principals", principals));
  if (!namespaces.empty()) rules.push_back(from("namespaces", namespaces));
  Json out = object("security.istio.io/v1", "AuthorizationPolicy", app.name, app.ns);
  out["spec"] = {{"selector", {{"matchLabels", {{"app.kubernetes.io/name", app.name}}}}},
                 {"action", "ALLOW"}};
  if (!rules.empty()) out["spec"]["rules"] = std::move(rules);
  part.add("authorization.yaml", std::move(out));
}

// What of the platform itself joins a mesh without sidecars: who measures, logs and traces speaks with what
// is in the mesh, and strict TLS lets nobody else in. Where requests come in from outside, or the API server
// calls many webhooks, a namespace stays out: neither has an identity of the mesh.
void join_observers(const Context& context, const std::vector<Part>& parts, std::set<std::string>& in_mesh) {
  if (in_mesh.empty() || context.has("gateway")) return;
  static const std::set<std::string> kObservers{"monitoring", "exporters", "logging", "log-collector",
                                                "tracing"};
  for (const Part& p : parts) {
    for (const Namespace& n : p.namespaces) {
      if (kObservers.contains(n.name)) in_mesh.insert(n.name);
    }
  }
}

// The API server has no identity of the mesh: its calls to the operator of the metrics come as they are.
Json open_webhook() {
  Json out = object("security.istio.io/v1", "PeerAuthentication", "operator-webhook", "monitoring");
  out["spec"]["selector"]["matchLabels"]["app"] = "kube-prometheus-stack-operator";
  out["spec"]["mtls"]["mode"] = "STRICT";
  out["spec"]["portLevelMtls"]["10250"]["mode"] = "PERMISSIVE";
  return out;
}

void connect_sidecars(Part& part, const std::string& ns) {
  part.namespaces.push_back({.name = ns, .labels = {{"istio-injection", "enabled"}}});
  part.edges.push_back({.from = Peer::pods(ns),
                        .to = Peer::pods(kNamespace, {{"app", "istiod"}}),
                        .ports = {{"xds", 15012}},
                        .why = "gets its certificate and configuration"});
}

// Without sidecars the agent of each node has the certificates of its pods. The tunnels between pods follow
// the edges (network_policies.cpp).
void connect_ambient(Part& part, const std::set<std::string>& in_mesh) {
  for (const std::string& ns : in_mesh)
    part.namespaces.push_back({.name = ns, .labels = {{"istio.io/dataplane-mode", "ambient"}}});
  part.edges.push_back({.from = Peer::pods(kNamespace, {{"app", "ztunnel"}}),
                        .to = Peer::pods(kNamespace, {{"app", "istiod"}}),
                        .ports = {{"xds", 15012}},
                        .why = "gets certificates and configuration"});
}

// Sidecars fetch their certificate; they tell of requests whatever their program is named.
void add_sidecar_edges(Part& part, const Context& context, const std::set<std::string>& namespaces) {
  for (const std::string& ns : namespaces) {
    const Peer pods = ns == kGatewayNamespace ? gateway_peer(context) : Peer::pods(ns);
    if (ns == kGatewayNamespace)
      part.edges.push_back({.from = pods,
                            .to = Peer::pods(kNamespace, {{"app", "istiod"}}),
                            .ports = {{"xds", 15012}},
                            .why = "gets its certificate and configuration"});
    if (context.has("traces"))
      part.edges.push_back({.from = pods,
                            .to = observability::traces_peer(context),
                            .ports = {{"zipkin", 9411}},
                            .why = "sends traces"});
  }
}

}  // namespace

bool sidecars_anywhere(const Context& context) {
  return context.use("mesh") == "istio" && context.component("mesh").text("mode") == "sidecar" &&
         !context.spec().named("apps").empty();
}

bool sidecars_in(const Context& context, const std::string& ns) {
  if (!sidecars_anywhere(context)) return false;
  const auto apps = context.spec().named("apps");
  return std::any_of(apps.begin(), apps.end(),
                     [&](const auto& a) { return namespace_of(context, a.second) == ns; });
}

std::vector<Part> mesh(const Context& context, const std::vector<Part>& parts) {
  if (context.use("mesh") != "istio") return {};
  const spec::Reader spec = context.component("mesh");
  const bool ambient = spec.text("mode") == "ambient";
  Part part = component("mesh");
  part.after = {"namespaces", "network-policies"};
  part.namespaces.push_back({.name = kNamespace,
                             .level = Level::privileged,
                             .reason = "the CNI agent changes the network of the host"});
  part.releases.push_back({.chart = "base",
                           .release = "istio-base",
                           .ns = kNamespace,
                           .values = {{"defaultRevision", "default"}}});
  Json cni{{"resources", to_json(context.size("mesh", "cni"))}};
  if (ambient) cni["profile"] = "ambient";
  // Google keeps plugins elsewhere, and lets pods of the highest classes run only where a quota names them.
  if (context.site() == Site::google) {
    cni["platform"] = "gke";
    cni["resourceQuotas"] = {{"enabled", true}};
  }
  part.releases.push_back(
      {.chart = "cni", .release = "istio-cni", .ns = kNamespace, .values = std::move(cni)});
  part.releases.push_back(
      {.chart = "istiod", .release = "istiod", .ns = kNamespace, .values = istiod_values(context, ambient)});
  if (ambient) {
    part.releases.push_back({.chart = "ztunnel",
                             .release = "ztunnel",
                             .ns = kNamespace,
                             .values = {{"resources", to_json(context.size("mesh", "ztunnel"))}}});
  }
  part.add("mesh.yaml", strict());
  if (context.has("traces")) part.add("mesh.yaml", telemetry(context));
  std::set<std::string> in_mesh;
  for (const auto& [name, a] : context.spec().named("apps")) {
    App app{.name = name, .ns = namespace_of(context, a)};
    in_mesh.insert(app.ns);
    if (!a.has("port")) continue;
    app.port = static_cast<int>(a.integer("port"));
    app.canary = a.has("canary");
    app.weight = a.number("canary.weight");
    app.affinity = a.text("affinity") == "cookie";
    if (!ambient) add_traffic(part, context, app);
    add_authorization(part, parts, app);
  }
  for (const auto& [name, run] : context.all(spec::DocumentKind::training_run)) {
    static_cast<void>(run);
    in_mesh.insert("training");
  }
  if (ambient) {
    join_observers(context, parts, in_mesh);
    connect_ambient(part, in_mesh);
    if (in_mesh.contains("monitoring") && cert_manager(context)) part.add("mesh.yaml", open_webhook());
  } else {
    for (const std::string& ns : in_mesh) connect_sidecars(part, ns);
    std::set<std::string> senders = in_mesh;
    if (context.has("gateway")) senders.insert(kGatewayNamespace);
    add_sidecar_edges(part, context, senders);
  }
  part.edges.push_back(
      {.from = Peer::pods(kNamespace), .to = Peer::api_server(), .why = "reads services and policies"});
  part.sections.push_back({Section::Chapter::troubleshooting, "The mesh refuses a request",
                           "istioctl proxy-status\n"
                           "istioctl analyze --all-namespaces\n"
                           "istioctl experimental describe pod POD.NAMESPACE\n"
                           "kubectl get authorizationpolicies,peerauthentications -A\n"});
  part.edges.push_back({.from = Peer::api_server(),
                        .to = Peer::pods(kNamespace, {{"app", "istiod"}}),
                        .ports = {{"webhook", 15017}},
                        .why = "asks the webhook"});
  return {std::move(part)};
}

}  // namespace tg::render
