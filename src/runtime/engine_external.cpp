// An OpenAI-compatible server that somebody else runs. It is asked for its models; any answer but 401, 403
// and 5xx will do, for not all have that list. One that wants a key is not ready: a Provider can carry a key,
// a Model cannot.
#include "runtime/engine.hpp"

namespace tg::runtime {

Result<EnginePlan> plan_external(const PlanInput& in) {
  auto url = parse_engine_url(in.model.external.url);
  if (!url) return std::unexpected(std::move(url.error()));
  EnginePlan plan;
  plan.probe.path = url->path + "/models";
  plan.probe.status = 0;
  plan.endpoint = {.host = url->host,
                   .port = url->port,
                   .tls = url->tls,
                   .base_path = url->path,
                   .authorization = "",
                   .model = "",
                   .label = in.label};
  plan.slots = in.model.slots > 0 ? in.model.slots : 1;
  return plan;
}

}  // namespace tg::runtime
