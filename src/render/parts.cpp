#include "render/parts.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>

#include "render/component/components.hpp"
#include "render/component/continuous.hpp"
#include "render/component/external_dns.hpp"
#include "render/component/knative.hpp"
#include "render/delivery/delivery.hpp"
#include "render/infrastructure/cluster_api.hpp"
#include "render/infrastructure/infrastructure.hpp"
#include "render/workload/workloads.hpp"

namespace tg::render {

namespace {

constexpr auto kEntries = std::to_array<Entry>({
    // infrastructure
    {.name = "existing", .build = existing},
    {.name = "k3s", .build = k3s},
    {.name = "machines", .build = machines},
    {.name = "forward", .build = forward},
    // components
    {.name = "network", .order = 2, .build = network},
    {.name = "monitoring-crds", .order = 6, .build = monitoring_crds},
    {.name = "gateway-crds", .order = 7, .build = gateway_crds},
    {.name = "storage", .order = 8, .build = storage},
    {.name = "local-disks", .order = 9, .build = local_disks},
    {.name = "certificates", .order = 12, .build = certificates},
    {.name = "vault", .order = 13, .build = vault},
    {.name = "balancer-controller", .order = 14, .build = balancer_controller},
    {.name = "gateway", .order = 15, .build = gateway},
    {.name = "metrics-server", .order = 18, .build = metrics_server},
    {.name = "gpu", .order = 20, .build = gpu},
    {.name = "node-autoscaling", .order = 22, .build = node_autoscaling},
    {.name = "scaling", .order = 24, .build = scaling},
    {.name = "operators", .order = 30, .build = operators},
    {.name = "metrics", .order = 40, .build = metrics},
    {.name = "host-metrics", .order = 41, .build = host_metrics},
    {.name = "logs", .order = 46, .build = logs},
    {.name = "traces", .order = 48, .build = traces},
    {.name = "knative", .order = 49, .build = knative},
    {.name = "serving", .order = 50, .build = serving},
    {.name = "chat", .order = 52, .build = chat},
    {.name = "training", .order = 54, .build = training},
    {.name = "upkeep", .order = 80, .build = upkeep},
    {.name = "gitops-controller", .order = 84, .build = gitops_controller},
    {.name = "names", .order = 72, .build = external_dns},
    // workloads
    {.name = "data", .build = data},
    {.name = "tenants", .build = tenants},
    {.name = "training-runs", .build = training_runs},
    {.name = "apps", .build = apps},
    // delivery
    {.name = "updates", .build = updates},
    // collectors: parts that need all before them; each sees what those above it made
    {.name = "backup", .order = 60, .collect = backup},
    {.name = "alerts", .order = 42, .collect = alerts},
    {.name = "dashboards", .order = 44, .collect = dashboards},
    {.name = "routes", .order = 70, .collect = routes},
    {.name = "secrets", .order = 10, .collect = secrets},
    {.name = "mesh", .order = 26, .collect = mesh},
    {.name = "policy", .order = 28, .collect = policy},
    {.name = "open-telekom-cloud", .collect = open_telekom_cloud},
    {.name = "aws", .collect = aws},
    {.name = "google", .collect = google},
    {.name = "azure", .collect = azure},
    {.name = "pipeline", .collect = pipeline},
    {.name = "namespaces", .order = 0, .collect = namespaces},
    {.name = "network-policies", .order = 5, .collect = network_policies},
    // what hands all of the others on
    {.name = "gitops", .order = 85, .collect = gitops},
    {.name = "cluster-api", .collect = cluster_api},
});

}  // namespace

std::span<const Entry> entries() { return kEntries; }

Part component(std::string_view name) {
  for (const Entry& e : kEntries) {
    if (e.name == name) {
      Part part;
      part.name = name;
      part.order = e.order;
      return part;
    }
  }
  std::fprintf(stderr, "no component %.*s in the table\n", static_cast<int>(name.size()), name.data());
  std::abort();
}

}  // namespace tg::render
