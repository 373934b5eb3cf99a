// Alerts that no single part can own: of workloads, nodes, the gateway, data services, security; and those
// that the document adds.
#pragma once

#include <string>
#include <vector>

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render::observability {

struct AlertGroup {
  std::string name;
  std::vector<Alert> alerts;
};

// Of what is present.
std::vector<AlertGroup> built_in_alerts(const Context& context);
// components.alerts.rules. `parts` say which workloads there are.
AlertGroup document_alerts(const Context& context, const std::vector<Part>& parts);

// The names of the programs that parts run: releases, Deployments, StatefulSets, DaemonSets.
std::vector<std::string> workload_names(const std::vector<Part>& parts);

}  // namespace tg::render::observability
