#include "catalog/chart_objects.hpp"

#include <algorithm>
#include <array>

namespace tg::catalog {

namespace {

// By `helm template` of the pinned releases with every switch that the renderer sets.
constexpr auto kObjects = std::to_array<ChartObject>({
    {"ollama", "", "persistentvolumeclaims"},
    {"ollama", "", "serviceaccounts"},
    {"ollama", "", "services"},
    {"ollama", "apps", "deployments"},
    {"open-webui", "", "persistentvolumeclaims"},
    {"open-webui", "", "serviceaccounts"},
    {"open-webui", "", "services"},
    {"open-webui", "apps", "deployments"},
    {"open-webui", "apps", "statefulsets"},
    {"valkey", "", "configmaps"},
    {"valkey", "", "persistentvolumeclaims"},
    {"valkey", "", "serviceaccounts"},
    {"valkey", "", "services"},
    {"valkey", "apps", "deployments"},
    {"valkey", "apps", "statefulsets"},
    {"valkey", "monitoring.coreos.com", "servicemonitors"},
    {"valkey", "policy", "poddisruptionbudgets"},
});

}  // namespace

std::span<const ChartObject> chart_objects(std::string_view chart) {
  const auto range = std::ranges::equal_range(kObjects, chart, {}, &ChartObject::chart);
  return {range.begin(), range.end()};
}

}  // namespace tg::catalog
