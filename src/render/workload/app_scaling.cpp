// How apps grow: by processor and memory with Kubernetes' own autoscaler, by queues, hours and requests with
// KEDA; and how large their pods should be.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "render/component/components.hpp"
#include "render/component/model_pods.hpp"
#include "render/workload/app.hpp"

namespace tg::render {

namespace {

constexpr const char* kPrometheus = "http://prometheus-operated.monitoring.svc:9090";

bool by_events(const spec::Reader& spec) {
  return spec.has("scale.kafka") || spec.has("scale.redis") || spec.has("scale.requestsPerSecond") ||
         !spec.entries("scale.cron").empty();
}

struct Target {
  std::string resource;
  int percent;
};

// What replicas follow among what Kubernetes measures itself; the processor if nothing else is named.
std::vector<Target> targets(const spec::Reader& spec) {
  std::vector<Target> out;
  for (const char* resource : {"cpu", "memory"}) {
    const std::string path = fmt::format("scale.{}", resource);
    if (spec.has(path)) out.push_back({resource, static_cast<int>(std::lround(spec.number(path) * 100))});
  }
  if (out.empty() && !by_events(spec)) out.push_back({"cpu", 70});
  return out;
}

Json direction(const spec::Reader& spec, const std::string& way) {
  const auto path = [&way](const char* field) { return fmt::format("scale.{}.{}", way, field); };
  const auto seconds = [&](const char* field) { return static_cast<int>(spec.seconds(path(field))); };
  Json policies = Json::array();
  if (spec.has(path("pods"))) {
    policies.push_back({{"type", "Pods"},
                        {"value", spec.integer(path("pods"))},
                        {"periodSeconds", std::max(1, seconds("every"))}});
  }
  if (policies.empty() || spec.has(path("percent"))) {
    policies.push_back({{"type", "Percent"},
                        {"value", spec.integer(path("percent"))},
                        {"periodSeconds", std::max(1, seconds("every"))}});
  }
  // Both are bounds: the tighter one holds.
  return {{"stabilizationWindowSeconds", seconds("after")},
          {"selectPolicy", "Min"},
          {"policies", std::move(policies)}};
}

Json behavior(const spec::Reader& spec) {
  return {{"scaleUp", direction(spec, "up")}, {"scaleDown", direction(spec, "down")}};
}

Json horizontal(const App& app) {
  Json out = object("autoscaling/v2", "HorizontalPodAutoscaler", app.name, app.ns);
  Json metrics = Json::array();
  for (const Target& t : targets(app.spec)) {
    metrics.push_back(
        {{"type", "Resource"},
         {"resource",
          {{"name", t.resource}, {"target", {{"type", "Utilization"}, {"averageUtilization", t.percent}}}}}});
  }
  out["spec"] = {{"scaleTargetRef", {{"apiVersion", "apps/v1"}, {"kind", "Deployment"}, {"name", app.name}}},
                 {"minReplicas", app.min},
                 {"maxReplicas", app.max},
                 {"metrics", std::move(metrics)},
                 {"behavior", behavior(app.spec)}};
  return out;
}

Peer keda_peer() { return Peer::pods("keda", {{"app.kubernetes.io/name", "keda-operator"}}); }

std::string plain(double number) { return fmt::format("{:g}", number); }

void add_resources(Json& triggers, const App& app) {
  for (const Target& t : targets(app.spec)) {
    triggers.push_back({{"type", t.resource},
                        {"metricType", "Utilization"},
                        {"metadata", {{"value", std::to_string(t.percent)}}}});
  }
}

void add_requests(const Context& context, Json& triggers, const App& app, Scaling& out) {
  if (!app.spec.has("scale.requestsPerSecond")) return;
  const RequestMetrics metrics = request_metrics(context, app);
  if (!metrics || context.use("metrics") != "prometheus") {
    context.refuse("nothing_measures", app.spec.at("scale.requestsPerSecond"),
                   app.spec.where("scale.requestsPerSecond"),
                   fmt::format("{}: nothing measures the requests", app.name),
                   "publish it with hosts behind a gateway, or use mesh: istio; and use metrics: prometheus");
    return;
  }
  triggers.push_back({{"type", "prometheus"},
                      {"metricType", "AverageValue"},
                      {"metadata",
                       {{"serverAddress", kPrometheus},
                        {"query", metrics.rate},
                        {"threshold", plain(app.spec.number("scale.requestsPerSecond"))}}}});
  out.edges.push_back({.from = keda_peer(),
                       .to = prometheus_peer(),
                       .ports = {{"http", 9090}},
                       .why = "asks how many requests come"});
}

// The service that a trigger names, of the right sort.
std::optional<DataApi> source(const Context& context, const App& app, const std::string& path,
                              std::string_view use) {
  const std::string name = app.spec.text(path);
  auto api = data_api(context, name);
  if (api && api->use == use) return api;
  context.refuse("unknown_reference", app.spec.at(path), app.spec.where(path),
                 fmt::format("{}: data has no {} service {}", app.name, use, name),
                 fmt::format("name one of data with use: {}", use));
  return std::nullopt;
}

void add_kafka(const Context& context, Json& triggers, const App& app, Scaling& out) {
  if (!app.spec.has("scale.kafka")) return;
  const auto api = source(context, app, "scale.kafka.service", "kafka");
  if (!api) return;
  std::string group = app.spec.text("scale.kafka.group");
  if (group.empty()) group = app.name;
  triggers.push_back({{"type", "kafka"},
                      {"metadata",
                       {{"bootstrapServers", fmt::format("{}:{}", api->host, api->port)},
                        {"consumerGroup", group},
                        {"topic", app.spec.text("scale.kafka.topic")},
                        {"lagThreshold", std::to_string(app.spec.integer("scale.kafka.lag"))},
                        // More replicas than partitions would only wait.
                        {"allowIdleConsumers", "false"},
                        {"offsetResetPolicy", "latest"}}}});
  out.edges.push_back({.from = keda_peer(),
                       .to = api->peer,
                       .ports = {{"kafka", api->port}},
                       .why = "asks how many messages wait"});
}

void add_redis(const Context& context, Json& triggers, const App& app, Scaling& out) {
  if (!app.spec.has("scale.redis")) return;
  const auto api = source(context, app, "scale.redis.service", "valkey");
  if (!api) return;
  const std::string name = app.name + "-redis";
  Json login = object("keda.sh/v1alpha1", "TriggerAuthentication", name, app.ns);
  login["spec"] = {{"secretTargetRef",
                    Json::array({{{"parameter", "password"}, {"name", api->secret}, {"key", "password"}}})}};
  out.objects.push_back(std::move(login));
  out.secrets.push_back(copy_of_data_secret(*api, app.ns, "KEDA asks how long the list is"));
  triggers.push_back({{"type", "redis"},
                      {"metadata",
                       {{"address", fmt::format("{}:{}", api->host, api->port)},
                        {"listName", app.spec.text("scale.redis.list")},
                        {"listLength", std::to_string(app.spec.integer("scale.redis.length"))}}},
                      {"authenticationRef", {{"name", name}}}});
  out.edges.push_back({.from = keda_peer(),
                       .to = api->peer,
                       .ports = {{"redis", api->port}},
                       .why = "asks how long the list is"});
}

void add_hours(Json& triggers, const App& app) {
  for (const spec::Reader& hours : app.spec.entries("scale.cron")) {
    triggers.push_back({{"type", "cron"},
                        {"metadata",
                         {{"timezone", hours.text("timeZone")},
                          {"start", hours.text("from")},
                          {"end", hours.text("to")},
                          {"desiredReplicas", std::to_string(hours.integer("replicas"))}}}});
  }
}

void by_keda(const Context& context, const App& app, Scaling& out) {
  Json triggers = Json::array();
  add_resources(triggers, app);
  add_requests(context, triggers, app, out);
  add_kafka(context, triggers, app, out);
  add_redis(context, triggers, app, out);
  add_hours(triggers, app);
  Json o = object("keda.sh/v1alpha1", "ScaledObject", app.name, app.ns);
  o["spec"] = {{"scaleTargetRef", {{"apiVersion", "apps/v1"}, {"kind", "Deployment"}, {"name", app.name}}},
               {"pollingInterval", 15},
               {"cooldownPeriod", static_cast<int>(app.spec.seconds("scale.down.after"))},
               {"minReplicaCount", app.min},
               {"maxReplicaCount", app.max},
               {"advanced",
                {{"horizontalPodAutoscalerConfig", {{"name", app.name}, {"behavior", behavior(app.spec)}}}}},
               {"triggers", std::move(triggers)}};
  out.objects.push_back(std::move(o));
}

const char* update_mode(const std::string& word) {
  if (word == "initial") return "Initial";
  if (word == "inPlace") return "InPlaceOrRecreate";
  return word == "recreate" ? "Recreate" : "Off";
}

// Requests that follow what is used: never of a resource by which replicas are counted, for the two would
// chase each other.
void vertical(const Context& context, const App& app, Scaling& out) {
  const std::string word = app.spec.text("vertical.mode");
  if (word == "off" || context.small()) return;
  std::vector<std::string> controlled{"cpu", "memory"};
  if (word != "recommend" && app.max > app.min) {
    for (const Target& t : targets(app.spec)) std::erase(controlled, t.resource);
  }
  if (controlled.empty()) {
    context.refuse("two_autoscalers", app.spec.at("vertical"), app.spec.where("vertical"),
                   fmt::format("{}: replicas already follow processor and memory", app.name),
                   "write vertical: recommend, or take cpu or memory out of scale");
    return;
  }
  Json container{
      {"containerName", app.name}, {"controlledResources", controlled}, {"controlledValues", "RequestsOnly"}};
  const Labels least = app.spec.quantities("vertical.min");
  const Labels most = app.spec.quantities("vertical.max");
  if (!least.empty()) container["minAllowed"] = to_json(least);
  if (!most.empty()) container["maxAllowed"] = to_json(most);
  Json o = object("autoscaling.k8s.io/v1", "VerticalPodAutoscaler", app.name, app.ns);
  o["spec"] = {{"targetRef", {{"apiVersion", "apps/v1"}, {"kind", "Deployment"}, {"name", app.name}}},
               {"updatePolicy", {{"updateMode", update_mode(word)}}},
               {"resourcePolicy", {{"containerPolicies", Json::array({std::move(container)})}}}};
  out.objects.push_back(std::move(o));
}

}  // namespace

Scaling scale(const Context& context, const App& app) {
  Scaling out;
  const bool events = by_events(app.spec);
  if (app.min == 0 && !events) {
    context.refuse("nothing_wakes", app.spec.at("replicas"), app.spec.where("replicas.min"),
                   fmt::format("{}: with 0 replicas nothing is measured that could start one", app.name),
                   "write replicas.min: 1, or scale by kafka, redis or cron");
  }
  if (events) {
    by_keda(context, app, out);
    out.replicas_fixed = false;
  } else if (app.max > app.min) {
    out.objects.push_back(horizontal(app));
    out.replicas_fixed = false;
  }
  vertical(context, app, out);
  return out;
}

bool needs_keda(const Context& context) {
  const auto all = context.spec().named("apps");
  if (std::any_of(all.begin(), all.end(), [](const auto& a) { return by_events(a.second); })) return true;
  return models_follow_requests(context);
}

Vertical needs_vpa(const Context& context) {
  if (context.small()) return Vertical::none;
  Vertical out = Vertical::none;
  for (const auto& [name, spec] : context.spec().named("apps")) {
    const std::string word = spec.text("vertical.mode");
    if (word == "off") continue;
    out = std::max(out, word == "recommend" ? Vertical::recommend : Vertical::change);
  }
  return out;
}

}  // namespace tg::render
