// The pieces of component logs: each store with its collector. For logs.cpp.
#pragma once

#include <string>

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render::observability {

// Collectors read the files of the machine: apart, so that the store stays restricted.
inline constexpr std::string_view kCollectorNamespace = "log-collector";

// Where the server of k3s writes its audit log.
inline constexpr std::string_view kK3sLogs = "/var/lib/rancher/k3s/server/logs";

void add_loki(const Context& context, Part& part);
void add_log_files(const Context& context, Part& part);
void add_elasticsearch(const Context& context, Part& part);
void add_cloudwatch(const Context& context, Part& part);

// Configuration of Alloy that reads pods (and the journal of machines that are ours) and writes to `push`.
std::string alloy_config(const Context& context, std::string_view push);
// fluent-bit on every node with `output` (in its own form).
void add_fluent_bit(const Context& context, Part& part, const std::string& output, const Edge& to);

// The retention in whole days; says so in the findings if it is not whole.
int retention_days(const Context& context);

}  // namespace tg::render::observability
