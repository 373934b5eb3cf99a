// Models in a cluster: who runs them, from where their weights come.
#include <fmt/format.h>

#include "verify/facts.hpp"

namespace tg::verify {

namespace {

void check_source(const std::string& name, const spec::Reader& model, const std::string& serving,
                  Report& report) {
  const std::string source = model.text("source");
  const std::string engine(model.chosen("engine"));
  if (source.starts_with("file://"))
    report.error(model, "source", "source_not_there",
                 fmt::format("{} is a file of one machine, and replicas run on any node", source),
                 "write hf://, https:// or ollama://");
  const bool ollama = source.starts_with("ollama://");
  if (serving == "ollama" || serving == "knative") {
    if (!ollama && !source.empty())
      report.error(model, "source", "engine_not_there",
                   fmt::format("components.serving: {} runs ollama:// sources only", serving),
                   "write source: ollama://NAME, or leave components.serving out: tidegate runs all sources");
    if (!engine.empty() && engine != "ollama")
      report.error(model, "engine", "engine_not_there",
                   fmt::format("components.serving: {} runs Ollama, not {}", serving, engine),
                   "remove engine, or leave components.serving out");
  }
  if (serving == "ollama" && model.integer("replicas.max") > 1)
    report.error(model, "replicas.max", "engine_not_there", "components.serving: ollama runs one replica",
                 "write replicas: {min: 1, max: 1}, or let tidegate serve");
  const Amounts needs = amounts(model.quantities("resources.requests"));
  if (engine == "vllm" && model.has("resources.requests") && needs.gpus <= 0)
    report.error(model, "resources.requests", "engine_needs_gpu",
                 fmt::format("vLLM runs {} on GPUs, and none is asked for", name),
                 "add nvidia.com/gpu: 1, or write engine: llamacpp with a GGUF source");
  if (engine == "vllm" && source.ends_with(".gguf"))
    report.error(model, "source", "engine_not_there",
                 "vLLM reads repositories of safetensors, not a GGUF file",
                 "name the repository, or remove engine");
  if (engine != "vllm" && engine != "simulated" && engine != "external" && needs.gpus > 1 &&
      serving == "tidegate")
    report.warning(model, "resources.requests", "gpu_idle",
                   fmt::format("{} GPUs are kept for one replica of an engine that spreads badly",
                               static_cast<int>(needs.gpus)),
                   "write engine: vllm");
}

// Memory that is asked for against the weights that the name tells.
void check_memory(const std::string& name, const spec::Reader& model, Report& report) {
  const Amounts needs = amounts(model.quantities("resources.requests"));
  const double weights = memory_by_name(model.text("source"));
  const Amounts limits = amounts(model.quantities("resources.limits"));
  const double most = limits.memory > 0 ? limits.memory : needs.memory;
  if (needs.gpus > 0 || most <= 0 || weights <= 0 || most >= weights * 0.85) return;
  report.error(model, limits.memory > 0 ? "resources.limits.memory" : "resources.requests.memory",
               "does_not_fit",
               fmt::format("{} may take {}, and by its name the model needs about {}", name,
                           shown("memory", most), shown("memory", weights)),
               fmt::format("allow {} or more, or choose a smaller model", shown("memory", weights)));
}

}  // namespace

void check_models(const Subject& s, Report& report) {
  const std::string serving = s.use("serving");
  const Named models = s.all(spec::DocumentKind::model);
  for (const auto& [name, model] : models) {
    if (serving == "none") {
      report.error(model, "source", "needs_component",
                   fmt::format("nobody runs the Model {}: components.serving is none", name),
                   "write components.serving: tidegate, or remove the Model");
      continue;
    }
    check_source(name, model, serving, report);
    check_memory(name, model, report);
  }
  if (s.use("chat") != "none" && models.empty() && s.all(spec::DocumentKind::provider).empty())
    report.error(s.spec, "components.chat", "nothing_to_serve",
                 "there is a page to talk to models, and no model", "add a Model or a Provider");
}

}  // namespace tg::verify
