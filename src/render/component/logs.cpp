// What programs write: fetched from every node, kept in one place, removed after its time.
#include "render/component/logs.hpp"

#include <fmt/format.h>

#include <cmath>

#include "render/component/components.hpp"
#include "render/component/observability.hpp"

namespace tg::render {

namespace observability {

int retention_days(const Context& context) {
  const spec::Reader logs = context.component("logs");
  const double days = logs.seconds("retention") / (24.0 * 3600.0);
  const double whole = std::ceil(days - 1e-9);
  if (whole > days + 1e-9)
    context.warn("rounded", logs.at("retention"), logs.where("retention"),
                 fmt::format("logs are removed in whole days: {} becomes {}d", logs.text("retention"), whole),
                 fmt::format("write {}d", whole));
  return std::max(1, static_cast<int>(whole));
}

}  // namespace observability

std::vector<Part> logs(const Context& context) {
  const std::string use = observability::logs_use(context);
  if (use == "none") return {};
  Part part = component("logs");
  part.after = {"monitoring-crds", "storage"};
  part.namespaces.push_back({.name = std::string(observability::kLogsNamespace)});
  part.namespaces.push_back({.name = std::string(observability::kCollectorNamespace),
                             .level = Level::privileged,
                             .reason = "the collector reads the log files of the machine"});
  if (use == "loki") observability::add_loki(context, part);
  if (use == "files") observability::add_log_files(context, part);
  if (use == "elasticsearch") observability::add_elasticsearch(context, part);
  if (use == "cloudwatch") observability::add_cloudwatch(context, part);
  return {std::move(part)};
}

}  // namespace tg::render
