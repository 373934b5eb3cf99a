// Who runs the Models: what stands in front of them and how other parts reach it.
#include <fmt/format.h>

#include <algorithm>

#include "render/component/knative.hpp"

namespace tg::render {

namespace {

constexpr const char* kNamespace = kModelNamespace;
constexpr int kOllama = 11434;

// One Ollama for all Models that it runs: it loads and unloads them itself, inside its memory limit.
Part ollama(const Context& context) {
  Part part = component("serving");
  part.after = {"namespaces", "network-policies", "storage"};
  part.namespaces.push_back({.name = kNamespace});
  Json pull = Json::array();
  Resources size = context.size("serving", "ollama");
  Placement where;
  std::int64_t slots = 1, context_tokens = 0;
  for (const auto& [name, model] : context.all(spec::DocumentKind::model)) {
    const std::string ollama_model = ollama_name(model.text("source"));
    if (ollama_model.empty()) {
      context.refuse(
          "engine_not_there", model.at("source"), model.where("source"),
          fmt::format("{}: components.serving: ollama runs ollama:// sources only", name),
          "write source: ollama://NAME, or leave components.serving out: tidegate runs all sources");
      continue;
    }
    pull.push_back(ollama_model);
    size = asked_by_model(context, model);
    slots = std::max(slots, model.integer("slots"));
    context_tokens = std::max(context_tokens, model.integer("context"));
    if (const std::string pool = model.text("pool"); !pool.empty()) where = context.pool_placement(pool);
    // One process holds all: the bounds of a Model are those of its Ollama.
    if (model.integer("replicas.max") > 1 || model.integer("replicas.min") > 1) {
      context.refuse("engine_not_there", model.at("replicas"), model.where("replicas"),
                     fmt::format("{}: components.serving: ollama runs one replica", name),
                     "write replicas: {min: 1, max: 1}, or let tidegate serve");
    }
  }
  Json values{{"ollama", {{"port", kOllama}, {"models", {{"pull", std::move(pull)}, {"clean", true}}}}}};
  values["resources"] = to_json(size);
  values["extraEnv"] =
      Json::array({env("OLLAMA_NUM_PARALLEL", std::to_string(slots)), env("OLLAMA_MAX_LOADED_MODELS", "1"),
                   env("OLLAMA_CONTEXT_LENGTH", std::to_string(context_tokens))});
  values["persistentVolume"] = {{"enabled", true}, {"size", context.small() ? "10Gi" : "50Gi"}};
  if (std::string cache = context.component("serving").text("cache"); !cache.empty()) {
    values["persistentVolume"]["storageClass"] = cache;
  } else if (cache = context.default_storage_class(); !cache.empty()) {
    values["persistentVolume"]["storageClass"] = cache;
  }
  if (!where.node_selector.empty()) values["nodeSelector"] = to_json(where.node_selector);
  if (!where.tolerations.empty()) values["tolerations"] = where.tolerations;
  values["serviceAccount"] = {{"create", true}, {"automount", false}};
  // The image runs as root unless told; its models lie below HOME then.
  values["podSecurityContext"] = {{"runAsNonRoot", true},
                                  {"runAsUser", 65532},
                                  {"runAsGroup", 65532},
                                  {"fsGroup", 65532},
                                  {"seccompProfile", {{"type", "RuntimeDefault"}}}};
  values["securityContext"] = {{"allowPrivilegeEscalation", false},
                               {"capabilities", {{"drop", Json::array({"ALL"})}}}};
  values["ollama"]["mountPath"] = "/models";
  values["extraEnv"].push_back(env("OLLAMA_MODELS", "/models"));
  values["extraEnv"].push_back(env("HOME", "/models"));
  part.releases.push_back(
      {.chart = "ollama", .release = "ollama", .ns = kNamespace, .values = std::move(values)});
  part.edges.push_back({.from = Peer::pods(kNamespace, {{"app.kubernetes.io/name", "ollama"}}),
                        .to = Peer::everywhere(),
                        .ports = {{"https", 443}},
                        .why = "fetches models"});
  part.sections.push_back({Section::Chapter::first_steps, "Ask a model",
                           "kubectl -n models exec deploy/ollama -- ollama list\n"});
  return part;
}

}  // namespace

std::string ollama_name(const std::string& source) {
  constexpr std::string_view kScheme = "ollama://";
  return source.starts_with(kScheme) ? source.substr(kScheme.size()) : std::string();
}

Resources asked_by_model(const Context& context, const spec::Reader& model) {
  Resources out = context.size("serving", "ollama");
  for (const auto& [key, value] : model.quantities("resources.requests")) out.requests[key] = value;
  for (const auto& [key, value] : model.quantities("resources.limits")) out.limits[key] = value;
  return out;
}

ModelApi model_api(const Context& context) {
  if (context.use("serving") == "knative") return knative_model_api();
  if (context.use("serving") == "ollama") {
    return {.pods = Peer::pods(kNamespace, {{"app.kubernetes.io/name", "ollama"}}),
            .port = kOllama,
            .url = fmt::format("http://ollama.{}.svc:{}", kNamespace, kOllama),
            .ollama = true};
  }
  if (tidegate_serves(context)) return tidegate_api();
  return {};
}

std::vector<Part> serving(const Context& context) {
  if (context.use("serving") == "ollama") return {ollama(context)};
  if (tidegate_serves(context)) return tidegate_serving(context);
  if (context.use("serving") == "knative") return knative_models(context);
  return {};
}

}  // namespace tg::render
