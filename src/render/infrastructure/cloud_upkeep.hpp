// When a cloud may care for its cluster by itself: upkeep.window in the words of each cloud. Pure.
#pragma once

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render {

// google_container_cluster.maintenance_policy. Google wants 48 hours in 32 days, in pieces of four or more: a
// shorter window is made longer, and that is a warning where the document wrote it.
Json google_maintenance(const Context& context);
// The maintenance_window* blocks of azurerm_kubernetes_cluster, by name. Azure takes four hours or more.
Json azure_maintenance(const Context& context);
// What the runbook says of either.
Section cloud_care(const Context& context);

}  // namespace tg::render
