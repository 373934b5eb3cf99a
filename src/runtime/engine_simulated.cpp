// Our own engine without weights: `tidegate _simulate`, see simulated_engine.hpp.
#include <fmt/format.h>

#include "runtime/engine.hpp"
#include "runtime/simulated_engine.hpp"

namespace tg::runtime {

Result<EnginePlan> plan_simulated(const PlanInput& in) {
  const spec::Model& m = in.model;
  EnginePlan plan;
  plan.slots = m.slots > 0 ? m.slots : 1;
  if (m.command.empty()) {
    plan.argv = {in.self, "_simulate"};
  } else {
    plan.argv = m.command;
  }
  SimulatedSettings settings;
  settings.engine = m.simulated;
  settings.model = m.name;
  settings.slots = plan.slots;
  settings.port = in.port;
  settings.start = in.start;
  const auto words = simulated_words(settings);
  plan.argv.insert(plan.argv.end(), words.begin(), words.end());
  plan.argv.insert(plan.argv.end(), m.args.begin(), m.args.end());
  plan.env = {{std::string(kSimulatedKeyVariable), in.key}};
  plan.probe.path = "/v1/models";
  plan.probe_demands_key = true;
  plan.endpoint = {.host = "127.0.0.1",
                   .port = in.port,
                   .tls = false,
                   .base_path = "/v1",
                   .authorization = "Bearer " + in.key,
                   .model = "",
                   .label = in.label};
  return plan;
}

}  // namespace tg::runtime
