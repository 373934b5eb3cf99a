// How the pods of a Model follow demand: by the processor where that is what runs out, by requests where a
// GPU does the work or where nothing runs while nobody asks.
#include <fmt/format.h>

#include <algorithm>

#include "render/component/components.hpp"
#include "render/component/model_pods.hpp"

namespace tg::render {

namespace {

constexpr const char* kPrometheus = "http://prometheus-operated.monitoring.svc:9090";
constexpr int kBusy = 70;     // percent of the requested processor
constexpr int kLinger = 300;  // seconds: the least that a replica stays after it was needed

// One pod each minute up: a replica that loads its weights helps nobody yet, and a second one started beside
// it would only take its bandwidth. Down slowly, as a start is dear.
Json direction(int stabilization, int period) {
  const Json policy{{"type", "Pods"}, {"value", 1}, {"periodSeconds", period}};
  return {{"stabilizationWindowSeconds", stabilization},
          {"selectPolicy", "Max"},
          {"policies", Json::array({policy})}};
}

Json behavior(int idle) {
  return {{"scaleUp", direction(0, 60)}, {"scaleDown", direction(std::min(idle, 3600), 120)}};
}

Json target(const ModelPod& plan) {
  return {{"apiVersion", "apps/v1"}, {"kind", "Deployment"}, {"name", plan.name}};
}

Json by_processor(const ModelPod& plan, int idle) {
  Json out = object("autoscaling/v2", "HorizontalPodAutoscaler", plan.name, kModelsNamespace);
  const Json wanted{{"type", "Utilization"}, {"averageUtilization", kBusy}};
  const Json resource{{"name", "cpu"}, {"target", wanted}};
  const Json metric{{"type", "Resource"}, {"resource", resource}};
  out["spec"] = {{"scaleTargetRef", target(plan)},
                 {"minReplicas", plan.replicas},
                 {"maxReplicas", plan.most},
                 {"metrics", Json::array({metric})},
                 {"behavior", behavior(idle)}};
  return out;
}

// Requests of the Model, wherever they are: held by the gateway, in hand and queued in the engines.
std::string demand(const ModelPod& plan) {
  const std::string pods =
      fmt::format("{{namespace=\"{}\",pod=~\"{}-[a-z0-9]+-[a-z0-9]+\"}}", kModelsNamespace, plan.name);
  const bool vllm = plan.engine == "vllm";
  std::string out = fmt::format("(sum(tidegate_held_requests{{model=\"{}\"}}) or vector(0))", plan.model);
  for (const char* metric : {vllm ? "vllm:num_requests_running" : "llamacpp:requests_processing",
                             vllm ? "vllm:num_requests_waiting" : "llamacpp:requests_deferred"})
    out += fmt::format(" + (sum({}{}) or vector(0))", metric, pods);
  return out;
}

Json by_requests(const ModelPod& plan, int idle) {
  Json out = object("keda.sh/v1alpha1", "ScaledObject", plan.name, kModelsNamespace);
  const Json metadata{{"serverAddress", kPrometheus},
                      {"query", demand(plan)},
                      {"threshold", std::to_string(plan.slots)},
                      {"activationThreshold", "0"}};
  const Json trigger{{"type", "prometheus"}, {"metricType", "AverageValue"}, {"metadata", metadata}};
  const Json horizontal{{"name", plan.name}, {"behavior", behavior(idle)}};
  Json advanced = Json::object();
  advanced["horizontalPodAutoscalerConfig"] = horizontal;
  out["spec"] = {
      {"scaleTargetRef", target(plan)},    {"pollingInterval", 5},         {"cooldownPeriod", idle},
      {"minReplicaCount", plan.least},     {"maxReplicaCount", plan.most}, {"advanced", std::move(advanced)},
      {"triggers", Json::array({trigger})}};
  return out;
}

int idle_of(const Context& context, const std::string& model) {
  for (const auto& [name, spec] : context.all(spec::DocumentKind::model)) {
    if (name == model) return std::max(kLinger, static_cast<int>(spec.seconds("idle")));
  }
  return kLinger;
}

}  // namespace

Grower grower(const Context& context, const ModelPod& plan) {
  if (plan.most == plan.least) return Grower::nobody;
  const bool counted = plan.metrics && context.use("metrics") == "prometheus";
  if (counted && (plan.gpu || plan.least == 0)) return Grower::requests;
  return !plan.gpu && plan.most > plan.replicas ? Grower::processor : Grower::nobody;
}

void add_model_scaling(const Context& context, Part& part, const ModelPod& plan) {
  const std::string file = fmt::format("model-{}.yaml", plan.name);
  const int idle = idle_of(context, plan.model);
  switch (grower(context, plan)) {
    case Grower::nobody:
      return;
    case Grower::processor:
      part.add(file, by_processor(plan, idle));
      return;
    case Grower::requests:
      part.add(file, by_requests(plan, idle));
      part.edges.push_back({.from = Peer::pods("keda", {{"app.kubernetes.io/name", "keda-operator"}}),
                            .to = prometheus_peer(),
                            .ports = {{"http", 9090}},
                            .why = "asks how many requests wait for models"});
      return;
  }
}

}  // namespace tg::render
