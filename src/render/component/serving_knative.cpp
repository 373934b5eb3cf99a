// Models as Knative Services: the operator, Knative Serving with Kourier, and one Service for each Model,
// whose pods follow the requests. The autoscaler counts requests in flight, so its target is the number of
// slots.
#include <fmt/format.h>

#include "catalog/images.hpp"
#include "render/component/knative.hpp"

namespace tg::render {

namespace {

constexpr const char* kServing = "knative-serving";
constexpr const char* kOperator = "knative-operator";
constexpr int kOllama = 11434;
constexpr int kGateway = 4000;

// What a pod of Knative listens on beside its program: requests, requests by HTTP/2, health, figures.
const std::vector<Port> kQueueProxy{{"http", 8012}, {"http2", 8013}, {"admin", 8022}, {"metrics", 9090}};

Json operator_values(const Context& context) {
  Json core{{"resources", to_json(context.size("knative", "operator"))}};
  Json webhook{{"resources", to_json(context.size("knative", "webhook"))}};
  return {{"knative_operator",
           {{"knative_operator", std::move(core)}, {"operator_webhook", std::move(webhook)}}}};
}

Json knative_serving(const Context& context) {
  Json out = object("operator.knative.dev/v1beta1", "KnativeServing", kServing, kServing);
  const bool several = !context.small() && context.spec().integer("cluster.controlPlane.replicas") > 1;
  Json features{{"kubernetes.podspec-init-containers", "enabled"},
                {"kubernetes.podspec-securitycontext", "enabled"},
                {"kubernetes.podspec-volumes-emptydir", "enabled"},
                {"secure-pod-defaults", "enabled"}};
  bool placed = false;
  for (const auto& [name, model] : context.all(spec::DocumentKind::model))
    placed |= !model.text("pool").empty();
  if (placed) {
    features["kubernetes.podspec-nodeselector"] = "enabled";
    features["kubernetes.podspec-tolerations"] = "enabled";
  }
  out["spec"] = {
      {"version", "1.23"},
      {"high-availability", {{"replicas", several ? 2 : 1}}},
      // Nothing of it is published: the gateway in front of the models is LiteLLM.
      {"ingress", {{"kourier", {{"enabled", true}, {"service-type", "ClusterIP"}}}}},
      {"config",
       {{"network", {{"ingress-class", "kourier.ingress.networking.knative.dev"}}},
        {"features", std::move(features)},
        // A model takes seconds to load: pods stay through short pauses, and none is made for a single burst.
        {"autoscaler",
         {{"stable-window", "120s"},
          {"scale-to-zero-grace-period", "60s"},
          {"scale-to-zero-pod-retention-period", "10m"},
          {"max-scale-up-rate", "2"},
          {"max-scale-down-rate", "2"}}},
        // A first token may take as long as a model loads.
        {"defaults",
         {{"revision-timeout-seconds", "600"}, {"revision-response-start-timeout-seconds", "300"}}},
        {"deployment", {{"progress-deadline", "1200s"}}}}}};
  return out;
}

// Pulls the weights before Ollama serves, so that a pod is ready only with its model.
Container puller(const Context& context, const std::string& model) {
  Container c{.name = "pull", .image = catalog::image("ollama")};
  c.command = {"/bin/sh", "-ec"};
  c.args = {
      fmt::format("ollama serve & server=$!\n"
                  "until ollama list >/dev/null 2>&1; do sleep 1; done\n"
                  "ollama pull '{}'\n"
                  "kill \"$server\"\n",
                  model)};
  c.env = {env("OLLAMA_MODELS", "/models"), env("HOME", "/tmp"), env("OLLAMA_HOST", "127.0.0.1:11434")};
  c.resources = context.size("serving", "ollama");
  c.resources.requests["cpu"] = "100m";
  c.resources.requests["memory"] = "256Mi";
  c.resources.limits["memory"] = "1Gi";
  c.mounts = {{"models", "/models"}, {"tmp", "/tmp"}};
  return c;
}

Json knative_service(const Context& context, const std::string& name, const spec::Reader& model) {
  const std::int64_t slots = model.integer("slots");
  const std::int64_t most = model.integer("replicas.max");
  Container c{.name = "ollama", .image = catalog::image("ollama")};
  c.args = {"serve"};
  c.env = {env("OLLAMA_HOST", fmt::format("0.0.0.0:{}", kOllama)),
           env("OLLAMA_MODELS", "/models"),
           env("HOME", "/tmp"),
           env("OLLAMA_NUM_PARALLEL", std::to_string(slots)),
           env("OLLAMA_MAX_LOADED_MODELS", "1"),
           env("OLLAMA_KEEP_ALIVE", "-1"),
           env("OLLAMA_CONTEXT_LENGTH", std::to_string(model.integer("context")))};
  c.ports = {{"http1", kOllama}};
  c.resources = asked_by_model(context, model);
  c.mounts = {{"models", "/models"}, {"tmp", "/tmp"}};
  c.readiness = {{"httpGet", {{"path", "/api/version"}, {"port", kOllama}}},
                 {"periodSeconds", 5},
                 {"timeoutSeconds", 5}};
  Pod pod;
  pod.containers = {std::move(c)};
  pod.init = {puller(context, ollama_name(model.text("source")))};
  std::string cache = model.text("cache.size");
  // No volume can be shared by pods on several nodes here: each pulls its own.
  pod.volumes = {volume_scratch("models", cache.empty() ? "20Gi" : cache), volume_scratch("tmp", "64Mi")};
  if (const std::string pool = model.text("pool"); !pool.empty())
    pod.placement = context.pool_placement(pool);
  pod.placement.spread = false;
  pod.annotations = {{"autoscaling.knative.dev/class", "kpa.autoscaling.knative.dev"},
                     {"autoscaling.knative.dev/metric", "concurrency"},
                     {"autoscaling.knative.dev/target", std::to_string(slots)},
                     {"autoscaling.knative.dev/target-utilization-percentage", "100"},
                     {"autoscaling.knative.dev/min-scale", std::to_string(model.integer("replicas.min"))},
                     {"autoscaling.knative.dev/max-scale", std::to_string(most)},
                     // The activator stays in the path: it holds what is more than the slots take.
                     {"autoscaling.knative.dev/target-burst-capacity", "-1"}};
  Json out = object("serving.knative.dev/v1", "Service", "ollama-" + name, kModelNamespace);
  out["metadata"]["labels"] = {{"networking.knative.dev/visibility", "cluster-local"}};
  Json shape = pod_template("ollama-" + name, pod, 1);
  Json& spec = shape["spec"];
  spec["containerConcurrency"] = slots;
  spec["timeoutSeconds"] = 600;
  spec["responseStartTimeoutSeconds"] = 300;
  spec["enableServiceLinks"] = false;
  out["spec"] = {{"template", std::move(shape)}};
  return out;
}

void warn_of_cold_start(const Context& context, const std::string& name, const spec::Reader& model) {
  if (model.integer("replicas.min") == 0) {
    context.warn(
        "cold_start", model.at("replicas"), model.where("replicas"),
        fmt::format("{}: the first request after a pause waits until the model is pulled again", name),
        "write replicas: {min: 1, …}");
  }
}

}  // namespace

Labels knative_pods(std::string_view model) {
  return {{"serving.knative.dev/service", fmt::format("ollama-{}", model)}};
}

ModelApi knative_model_api() {
  return {.pods = Peer::pods(kModelNamespace, selector("litellm")),
          .port = kGateway,
          .url = fmt::format("http://litellm.{}.svc:{}", kModelNamespace, kGateway),
          .ollama = false};
}

std::vector<Part> knative(const Context& context) {
  if (context.use("serving") != "knative") return {};
  Part part = component("knative");
  part.after = {"namespaces", "network-policies"};
  part.namespaces.push_back({.name = kOperator});
  part.namespaces.push_back(
      {.name = kServing, .level = Level::baseline, .reason = "the operator brings these pods"});
  part.releases.push_back({.chart = "knative-operator",
                           .release = kOperator,
                           .ns = kOperator,
                           .values = operator_values(context)});
  part.add("knative-serving.yaml", knative_serving(context));
  part.manifests.back().makes = {"services.serving.knative.dev"};
  const Peer op = Peer::pods(kOperator), core = Peer::pods(kServing);
  part.edges = {
      {.from = op, .to = Peer::api_server(), .why = "installs Knative Serving"},
      {.from = Peer::api_server(),
       .to = op,
       .ports = {{"webhook", 8443}},
       .why = "asks the operator's webhook"},
      {.from = core, .to = core, .why = "parts of Knative Serving talk to each other"},
      {.from = core, .to = Peer::api_server(), .why = "keep Services, Routes and Revisions"},
      {.from = Peer::api_server(), .to = core, .ports = {{"webhook", 8443}}, .why = "asks the webhook"},
      {.from = Peer::pods(kServing, {{"app", "controller"}}),
       .to = Peer::everywhere(),
       .ports = {{"https", 443}},
       .why = "asks registries for the digests of images"},
  };
  part.sections.push_back(
      {.chapter = Section::Chapter::troubleshooting,
       .title = "A model does not get more pods",
       .text =
           "`kubectl -n models get podautoscaler` shows what is wanted and why; `kubectl -n knative-serving "
           "logs deployment/autoscaler` the figures it saw. Pods that stay Pending wait for a node: see the "
           "cluster autoscaler.\n"});
  return {std::move(part)};
}

std::vector<Part> knative_models(const Context& context) {
  Part part = component("serving");
  part.after = {"namespaces", "network-policies", "storage", "knative"};
  part.namespaces.push_back({.name = kModelNamespace});
  std::vector<std::string> running;
  for (const auto& [name, model] : context.all(spec::DocumentKind::model)) {
    if (ollama_name(model.text("source")).empty()) {
      context.refuse(
          "engine_not_there", model.at("source"), model.where("source"),
          fmt::format("{}: components.serving: knative runs ollama:// sources only", name),
          "write source: ollama://NAME, or leave components.serving out: tidegate runs all sources");
      continue;
    }
    warn_of_cold_start(context, name, model);
    part.add("ollama.yaml", knative_service(context, name, model));
    const Peer pods = Peer::pods(kModelNamespace, knative_pods(name));
    part.edges.push_back(
        {.from = Peer::pods("knative-serving"),
         .to = pods,
         .ports = kQueueProxy,
         .why = "the gateway and the activator hand requests on, the autoscaler counts them"});
    part.edges.push_back(
        {.from = pods, .to = Peer::everywhere(), .ports = {{"https", 443}}, .why = "pulls its model"});
    running.push_back(name);
  }
  if (context.spec().text("components.serving.gateway") == "tidegate") {
    context.refuse("cannot_render", context.spec().at("components.serving.gateway"),
                   "spec.components.serving.gateway",
                   "tidegate starts its models itself, it does not stand in front of Knative",
                   "write gateway: litellm, or leave components.serving out");
  }
  Part gateway = litellm(context);
  for (Manifest& m : gateway.manifests) part.manifests.push_back(std::move(m));
  for (Edge& e : gateway.edges) part.edges.push_back(std::move(e));
  for (SecretNeed& s : gateway.secrets) part.secrets.push_back(std::move(s));
  for (Section& s : gateway.sections) part.sections.push_back(std::move(s));
  for (const std::string& name : running) {
    part.sections.push_back({.chapter = Section::Chapter::first_steps,
                             .title = "See " + name + " grow",
                             .text = fmt::format("```sh\nkubectl -n {} get ksvc,podautoscaler\n"
                                                 "kubectl -n {} get pods --watch -l "
                                                 "serving.knative.dev/service=ollama-{}\n```\n",
                                                 kModelNamespace, kModelNamespace, name)});
  }
  return {std::move(part)};
}

}  // namespace tg::render
