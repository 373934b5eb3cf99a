// llama.cpp's llama-server. The key goes by environment, because arguments can be read by every user of the
// machine. /props demands the key (/health and / do not) and answers 503 while the weights load.
#include <fmt/format.h>

#include "runtime/engine.hpp"

namespace tg::runtime {

Result<EnginePlan> plan_llamacpp(const PlanInput& in) {
  const spec::Model& m = in.model;
  if (in.weights.empty()) {
    return fail("weights_missing",
                fmt::format("model {}: llamacpp needs a GGUF file and the source names none", m.name),
                "set spec.source to file:///path/model.gguf or hf://owner/repo/file.gguf");
  }
  EnginePlan plan;
  plan.argv = m.command.empty() ? std::vector<std::string>{engine_program(m)} : m.command;
  const int slots = m.slots > 0 ? m.slots : 1;
  const auto add = [&plan](std::string_view name, std::string value) {
    plan.argv.emplace_back(name);
    plan.argv.push_back(std::move(value));
  };
  add("-m", in.weights);
  add("--host", "127.0.0.1");
  add("--port", fmt::to_string(in.port));
  add("-c", fmt::to_string(m.context * slots));  // shared out evenly among the slots
  add("-np", fmt::to_string(slots));
  // A thread per connection: every worker keeps some, and probes need two more.
  add("--threads-http", fmt::to_string(static_cast<std::size_t>(slots) + in.workers + 4));
  add("--alias", m.name);
  plan.argv.insert(plan.argv.end(), m.args.begin(), m.args.end());
  plan.env = {{"LLAMA_API_KEY", in.key},
              // By environment where an older server may not know the argument: no cache of prompts in memory
              // (8 GiB by default, outside any estimate), no page, no download of anything, no comments of
              // its own in streams.
              {"LLAMA_ARG_CACHE_RAM", "0"},
              {"LLAMA_ARG_UI", "0"},
              {"LLAMA_ARG_OFFLINE", "1"},
              {"LLAMA_ARG_SSE_PING_INTERVAL", "-1"}};
  plan.probe.path = "/props";
  plan.probe_demands_key = true;
  plan.endpoint = {.host = "127.0.0.1",
                   .port = in.port,
                   .tls = false,
                   .base_path = "/v1",
                   .authorization = "Bearer " + in.key,
                   .model = "",
                   .label = in.label};
  plan.slots = slots;
  return plan;
}

}  // namespace tg::runtime
