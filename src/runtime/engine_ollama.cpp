// Ollama: `ollama serve` of our own per replica, or a server that runs already. It has no key;
// docs/security-model.md says so. The model is pulled or made through its API before the replica counts as
// ready.
#include <fmt/format.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "runtime/engine.hpp"

namespace tg::runtime {

namespace {

// Ollama's name of a file that is imported. Size and time of change are in it: a file that was replaced is
// imported again, and a model of the same name that the user has in the shared store is not taken for it.
std::string imported_name(const std::string& model, const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return model + ":absent";  // Ollama's own error says the rest
  return fmt::format("{}:{:x}-{:x}.{:x}", model, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
}

}  // namespace

Result<EnginePlan> plan_ollama(const PlanInput& in) {
  const spec::Model& m = in.model;
  EnginePlan plan;
  plan.slots = m.slots > 0 ? m.slots : 1;
  plan.endpoint = {.host = "127.0.0.1",
                   .port = in.port,
                   .tls = false,
                   .base_path = "/v1",
                   .authorization = "",
                   .model = "",
                   .label = in.label};
  // `command` names the program, with or without Ollama's word `serve`.
  std::vector<std::string> program =
      m.command.empty() ? std::vector<std::string>{engine_program(m)} : m.command;
  if (program.size() > 1 && program.back() == "serve") program.pop_back();
  const bool own = m.ollama.url.empty();
  std::string prefix;
  if (own) {
    plan.argv = program;
    plan.argv.emplace_back("serve");
    plan.argv.insert(plan.argv.end(), m.args.begin(), m.args.end());
    plan.env = {{"OLLAMA_HOST", fmt::format("127.0.0.1:{}", in.port)},
                {"OLLAMA_MODELS", in.ollama_models.empty() ? in.engine_data : in.ollama_models},
                {"OLLAMA_NUM_PARALLEL", fmt::to_string(plan.slots)},
                {"OLLAMA_MAX_LOADED_MODELS", "1"},
                {"OLLAMA_KEEP_ALIVE", "-1"},  // when a model leaves memory is our decision
                {"OLLAMA_CONTEXT_LENGTH", fmt::to_string(m.context)},
                {"OLLAMA_NOPRUNE", "1"}};  // other replicas share the directory
  } else {
    auto url = parse_engine_url(m.ollama.url);
    if (!url) return std::unexpected(std::move(url.error()));
    plan.endpoint.host = url->host;
    plan.endpoint.port = url->port;
    plan.endpoint.tls = url->tls;
    prefix = url->path;
    plan.endpoint.base_path = prefix + "/v1";
  }
  plan.probe.path = prefix + "/api/version";

  constexpr std::string_view kScheme = "ollama://";
  const bool named = m.source.starts_with(kScheme);
  const std::string name = named ? m.source.substr(kScheme.size()) : imported_name(m.name, in.weights);
  plan.endpoint.model = name;
  SetupStep step;
  step.unless = {"POST", prefix + "/api/show", nlohmann::json({{"model", name}}).dump(), 200};
  if (named) {
    step.what = "pulling " + name;
    step.downloads = true;
    step.call = {"POST", prefix + "/api/pull", nlohmann::json({{"model", name}, {"stream", false}}).dump(),
                 200};
  } else if (!in.weights.empty() && own) {
    // The server takes a file only as an upload; its own command line does that.
    step.what = "importing " + in.weights;
    const std::string recipe = fmt::format("{}/{}.Modelfile", in.engine_data, in.label);
    plan.files.emplace_back(recipe, "FROM " + in.weights + "\n");
    step.command = program;
    for (const std::string& word : {std::string("create"), name, std::string("-f"), recipe})
      step.command.push_back(word);
  } else {
    return fail("weights_missing",
                fmt::format("model {}: {} has no model to run", m.name, own ? "ollama" : m.ollama.url),
                "set spec.source to ollama://NAME");
  }
  plan.setup.push_back(std::move(step));
  // Loads the weights, so that "ready" means ready: an empty prompt is Ollama's own way to ask for that.
  SetupStep load;
  load.what = "loading " + name;
  nlohmann::json ask = {{"model", name}, {"stream", false}};
  if (own) {  // a server of somebody else keeps its own context and its own time to live
    ask["keep_alive"] = -1;
    ask["options"] = {{"num_ctx", m.context}};
  }
  load.call = {"POST", prefix + "/api/generate", ask.dump(), 200};
  plan.setup.push_back(std::move(load));
  return plan;
}

}  // namespace tg::runtime
