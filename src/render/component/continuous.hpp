// Continuous delivery: who brings which part to its cluster.
#pragma once

#include <string>
#include <vector>

#include "render/parts.hpp"

namespace tg::render {

std::vector<Part> gitops_controller(const Context&);
// A collector: it stands behind all parts that it delivers.
std::vector<Part> gitops(const Context&, const std::vector<Part>&);

// Who brings the part to its cluster: "fleet", "argo-cd", "clusterResourceSet"; empty = apply itself.
std::string delivered_by(const Context&, const Part&);
// Namespace of the managing cluster in which the workload cluster and its bundles stand.
std::string gitops_workspace(const Context&);
// Name of the chart that holds them.
std::string gitops_chart(const Context&);

}  // namespace tg::render
