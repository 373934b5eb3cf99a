// What grows and shrinks apps beyond Kubernetes' own autoscaler: KEDA for queues, hours and requests, the
// vertical autoscaler for the size of pods. Only what an app asks for.
#include "render/component/components.hpp"
#include "render/workload/workloads.hpp"

namespace tg::render {

namespace {

constexpr const char* kKeda = "keda";
constexpr const char* kVpa = "vpa";

Labels named(const char* name) { return {{"app.kubernetes.io/name", name}}; }

void add_keda(const Context& context, Part& part) {
  part.namespaces.push_back({.name = kKeda});
  const auto size = [&](const char* workload) { return to_json(context.size("scaling", workload)); };
  Json values{{"clusterName", context.cluster_name()},
              {"clusterDomain", context.spec().text("cluster.networks.domain")},
              {"operator", {{"replicaCount", context.replicas("scaling", "keda-operator")}}},
              {"metricsServer", {{"replicaCount", context.replicas("scaling", "keda-metrics")}}},
              {"webhooks",
               {{"replicaCount", context.replicas("scaling", "keda-webhooks")},
                // A ScaledObject that cannot work is refused, not taken silently.
                {"failurePolicy", "Fail"}}},
              {"resources",
               {{"operator", size("keda-operator")},
                {"metricServer", size("keda-metrics")},
                {"webhooks", size("keda-webhooks")}}}};
  if (context.replicas("scaling", "keda-operator") > 1) {
    values["podDisruptionBudget"] = {{"operator", {{"maxUnavailable", 1}}},
                                     {"metricServer", {{"maxUnavailable", 1}}},
                                     {"webhooks", {{"maxUnavailable", 1}}}};
  }
  if (context.use("metrics") == "prometheus") {
    values["prometheus"] = {{"operator", {{"enabled", true}, {"serviceMonitor", {{"enabled", true}}}}},
                            {"metricServer", {{"enabled", true}, {"serviceMonitor", {{"enabled", true}}}}}};
    for (const char* pods : {"keda-operator", "keda-operator-metrics-apiserver"}) {
      part.edges.push_back({.from = prometheus_peer(),
                            .to = Peer::pods(kKeda, named(pods)),
                            .ports = {{"metrics", 8080}},
                            .why = "scrapes metrics"});
    }
  }
  const Placement where = context.add_on_placement();
  if (!where.node_selector.empty()) values["nodeSelector"] = to_json(where.node_selector);
  if (!where.tolerations.empty()) values["tolerations"] = where.tolerations;
  part.releases.push_back({.chart = "keda", .release = "keda", .ns = kKeda, .values = std::move(values)});
  for (const char* pods : {"keda-operator", "keda-operator-metrics-apiserver", "keda-admission-webhooks"}) {
    part.edges.push_back(
        {.from = Peer::pods(kKeda, named(pods)), .to = Peer::api_server(), .why = "watches its objects"});
  }
  part.edges.push_back({.from = Peer::api_server(),
                        .to = Peer::pods(kKeda, named("keda-operator-metrics-apiserver")),
                        .ports = {{"https", 6443}},
                        .why = "asks for the metrics that replicas follow"});
  part.edges.push_back({.from = Peer::api_server(),
                        .to = Peer::pods(kKeda, named("keda-admission-webhooks")),
                        .ports = {{"webhook", 9443}},
                        .why = "asks whether a ScaledObject can work"});
  part.edges.push_back({.from = Peer::pods(kKeda, named("keda-operator-metrics-apiserver")),
                        .to = Peer::pods(kKeda, named("keda-operator")),
                        .ports = {{"grpc", 9666}},
                        .why = "asks the operator for values"});
}

Json vpa_part(const Context& context, const char* workload) {
  const int replicas = context.replicas("scaling", workload);
  Json out{{"enabled", true},
           {"replicas", replicas},
           {"resources", to_json(context.size("scaling", workload))},
           {"podDisruptionBudget", {{"enabled", replicas > 1}}}};
  const Placement where = context.add_on_placement();
  if (!where.node_selector.empty()) out["nodeSelector"] = to_json(where.node_selector);
  if (!where.tolerations.empty()) out["tolerations"] = where.tolerations;
  return out;
}

void add_vpa(const Context& context, Part& part, Vertical need) {
  part.namespaces.push_back({.name = kVpa});
  Json values = Json::object();
  values["podSecurityContext"] = {
      {"runAsNonRoot", true}, {"runAsUser", 65534}, {"seccompProfile", {{"type", "RuntimeDefault"}}}};
  values["containerSecurityContext"] = {{"allowPrivilegeEscalation", false},
                                        {"readOnlyRootFilesystem", true},
                                        {"capabilities", {{"drop", Json::array({"ALL"})}}}};
  values["recommender"] = vpa_part(context, "vpa-recommender");
  // Recommendations alone change no pod.
  const bool change = need == Vertical::change;
  values["updater"] = change ? vpa_part(context, "vpa-updater") : Json{{"enabled", false}};
  values["admissionController"] = change ? vpa_part(context, "vpa-admission") : Json{{"enabled", false}};
  if (change)
    values["admissionController"]["certGen"] = {
        {"resources", to_json(context.size("scaling", "vpa-admission"))}};
  part.releases.push_back(
      {.chart = "vertical-pod-autoscaler", .release = "vpa", .ns = kVpa, .values = std::move(values)});
  part.edges.push_back(
      {.from = Peer::pods(kVpa), .to = Peer::api_server(), .why = "watches pods and what they use"});
  if (change) {
    part.edges.push_back({.from = Peer::api_server(),
                          .to = Peer::pods(kVpa),
                          .ports = {{"webhook", 8000}},
                          .why = "asks for the requests of a new pod"});
  }
  part.sections.push_back({Section::Chapter::cost, "Requests that fit",
                           "kubectl get vpa -A\n"
                           "kubectl get vpa -A -o custom-columns=NS:.metadata.namespace,NAME:.metadata.name,"
                           "CPU:.status.recommendation.containerRecommendations[0].target.cpu,"
                           "MEMORY:.status.recommendation.containerRecommendations[0].target.memory\n"});
}

}  // namespace

std::vector<Part> scaling(const Context& context) {
  const bool keda = needs_keda(context);
  const Vertical vertical = needs_vpa(context);
  if (!keda && vertical == Vertical::none) return {};
  Part part = component("scaling");
  part.after = {"namespaces", "network-policies", "metrics-server"};
  if (keda) add_keda(context, part);
  if (vertical != Vertical::none) add_vpa(context, part, vertical);
  return {std::move(part)};
}

}  // namespace tg::render
