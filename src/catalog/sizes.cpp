#include "catalog/sizes.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

namespace tg::catalog {

namespace {

constexpr auto kWorkloads = std::to_array<Workload>({
    {"certificates", "controller", {2, 1}, {{"25m", "64Mi", "", "256Mi"}, {"10m", "48Mi", "", "96Mi"}}},
    {"certificates", "webhook", {2, 1}, {{"10m", "32Mi", "", "128Mi"}, {"5m", "24Mi", "", "64Mi"}}},
    {"certificates", "cainjector", {1, 1}, {{"10m", "64Mi", "", "256Mi"}, {"5m", "32Mi", "", "96Mi"}}},
    {"gpu", "operator", {1, 1}, {{"100m", "128Mi", "", "512Mi"}, {"50m", "128Mi", "", "256Mi"}}},
    {"gpu", "toolkit", {-1, -1}, {{"20m", "64Mi", "", "256Mi"}, {"20m", "64Mi", "", "256Mi"}}},
    {"gpu", "device-plugin", {-1, -1}, {{"20m", "64Mi", "", "256Mi"}, {"20m", "64Mi", "", "256Mi"}}},
    {"gpu", "feature-discovery", {-1, -1}, {{"20m", "64Mi", "", "256Mi"}, {"20m", "64Mi", "", "256Mi"}}},
    {"gpu", "dcgm-exporter", {-1, -1}, {{"50m", "256Mi", "", "1Gi"}, {"50m", "256Mi", "", "512Mi"}}},
    {"network", "tigera-operator", {1, 1}, {{"50m", "128Mi", "", "512Mi"}, {"20m", "64Mi", "", "256Mi"}}},
    {"upkeep", "kured", {-1, -1}, {{"10m", "32Mi", "", "128Mi"}, {"10m", "32Mi", "", "64Mi"}}},
    {"upkeep", "kube-bench", {1, 1}, {{"50m", "64Mi", "", "256Mi"}, {"20m", "32Mi", "", "128Mi"}}},
    {"k3s", "traefik", {2, 1}, {{"100m", "128Mi", "", "256Mi"}, {"50m", "48Mi", "", "96Mi"}}},
    {"data", "postgresql", {1, 1}, {{"250m", "512Mi", "", "1Gi"}, {"50m", "96Mi", "", "192Mi"}}},
    {"backup", "velero", {1, 1}, {{"100m", "128Mi", "", "512Mi"}, {"20m", "64Mi", "", "256Mi"}}},
    {"backup", "node-agent", {-1, -1}, {{"100m", "128Mi", "", "1Gi"}, {"20m", "64Mi", "", "512Mi"}}},
    {"backup", "copy", {0, 0}, {{"20m", "32Mi", "", "128Mi"}, {"20m", "32Mi", "", "128Mi"}}},
    {"gateway", "controller", {2, 1}, {{"100m", "256Mi", "", "1Gi"}, {"20m", "96Mi", "", "256Mi"}}},
    {"gateway", "proxy", {2, 1}, {{"250m", "256Mi", "", "1Gi"}, {"50m", "96Mi", "", "256Mi"}}},
    {"gateway", "limits", {1, 1}, {{"50m", "64Mi", "", "256Mi"}, {"10m", "32Mi", "", "64Mi"}}},
    {"policy", "controller", {3, 1}, {{"100m", "256Mi", "", "512Mi"}, {"20m", "96Mi", "", "256Mi"}}},
    {"policy", "audit", {1, 1}, {{"100m", "256Mi", "", "512Mi"}, {"20m", "96Mi", "", "256Mi"}}},
    {"secrets", "external-secrets", {2, 1}, {{"50m", "96Mi", "", "256Mi"}, {"10m", "48Mi", "", "128Mi"}}},
    {"secrets", "webhook", {2, 1}, {{"20m", "48Mi", "", "128Mi"}, {"5m", "24Mi", "", "64Mi"}}},
    {"secrets", "openbao", {3, 1}, {{"250m", "256Mi", "", "512Mi"}, {"20m", "96Mi", "", "256Mi"}}},
    {"mesh", "istiod", {2, 1}, {{"250m", "512Mi", "", "2Gi"}, {"50m", "128Mi", "", "512Mi"}}},
    {"mesh", "ztunnel", {-1, -1}, {{"100m", "128Mi", "", "512Mi"}, {"20m", "48Mi", "", "128Mi"}}},
    {"mesh", "cni", {-1, -1}, {{"50m", "64Mi", "", "256Mi"}, {"10m", "32Mi", "", "128Mi"}}},
    {"mesh", "sidecar", {0, 0}, {{"50m", "96Mi", "", "512Mi"}, {"10m", "48Mi", "", "128Mi"}}},
    {"chat", "open-webui", {1, 1}, {{"250m", "768Mi", "", "1536Mi"}, {"200m", "448Mi", "", "704Mi"}}},
    {"storage", "local-path", {1, 1}, {{"20m", "32Mi", "", "128Mi"}, {"5m", "24Mi", "", "64Mi"}}},
    {"storage", "snapshot-controller", {2, 1}, {{"20m", "32Mi", "", "128Mi"}, {"10m", "24Mi", "", "64Mi"}}},
    {"serving", "ollama", {1, 1}, {{"1", "4Gi", "", "8Gi"}, {"1", "768Mi", "2500m", "1Gi"}}},
});

}  // namespace

std::span<const Workload> workloads() { return kWorkloads; }

const Workload& workload(std::string_view component, std::string_view name) {
  const auto it = std::find_if(kWorkloads.begin(), kWorkloads.end(),
                               [&](const Workload& w) { return w.component == component && w.name == name; });
  if (it != kWorkloads.end()) return *it;
  std::fprintf(stderr, "no workload %.*s of %.*s in the catalog\n", static_cast<int>(name.size()),
               name.data(), static_cast<int>(component.size()), component.data());
  std::abort();
}

const Size& size(std::string_view component, std::string_view name, Profile profile) {
  return workload(component, name).size[static_cast<std::size_t>(profile)];
}

int replicas(std::string_view component, std::string_view name, Profile profile) {
  return workload(component, name).replicas[static_cast<std::size_t>(profile)];
}

}  // namespace tg::catalog
