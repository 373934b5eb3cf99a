#include "catalog/releases.hpp"

#include <algorithm>
#include <array>

namespace tg::catalog {

namespace {

// End dates: the project's patch release page, November 2026.
constexpr auto kReleases = std::to_array<Kubernetes>({
    {"1.34", "1.34.6", "2026-10-27", "v1.34.6+k3s1"},
    {"1.35", "1.35.8", "2027-02-28", "v1.35.8+k3s1"},
    {"1.36", "1.36.3", "2027-06-28", "v1.36.3+k3s1"},
});

}  // namespace

std::span<const Kubernetes> kubernetes_releases() { return kReleases; }

const Kubernetes* kubernetes(std::string_view minor) {
  const auto it =
      std::find_if(kReleases.begin(), kReleases.end(), [&](const Kubernetes& k) { return k.minor == minor; });
  return it == kReleases.end() ? nullptr : &*it;
}

const Kubernetes& default_kubernetes() { return kReleases[1]; }

}  // namespace tg::catalog
