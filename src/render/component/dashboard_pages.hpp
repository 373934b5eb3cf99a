// The pages of Grafana: what is built in for the parts that are present, and how a page is written.
#pragma once

#include <vector>

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render::observability {

// Of what is present: cluster, nodes, programs, gateway, data services, logs, GPUs.
std::vector<Dashboard> built_in_dashboards(const Context& context);

// A page as Grafana reads it.
Json dashboard_json(const Dashboard& dashboard);

}  // namespace tg::render::observability
