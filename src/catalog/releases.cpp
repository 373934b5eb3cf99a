#include "catalog/releases.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace tg::catalog {

namespace {

// End dates: the project's patch release page, November 2026.
constexpr auto kReleases = std::to_array<Kubernetes>({
    {"1.34", "1.34.6", "2026-10-27", "v1.34.6+k3s1"},
    {"1.35", "1.35.8", "2027-02-28", "v1.35.8+k3s1"},
    {"1.36", "1.36.3", "2027-06-28", "v1.36.3+k3s1"},
});

constexpr auto kCce = std::to_array<std::string_view>({"1.31", "1.32", "1.33", "1.34"});

// From the projects' tables of supported versions, November 2026.
constexpr auto kWindows = std::to_array<Window>({
    {"gateway", "ingress-nginx", "4.15.1", "1.31", "1.35"},
    {"certificates", "cert-manager", "1.21", "1.33", "1.36"},
    {"infrastructure", "clusterApi", "1.13.3", "1.34", "1.36"},
});

int number(std::string_view text) {
  int value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

std::string_view catalog_date() { return "2026-11-21"; }

std::span<const std::string_view> cce_versions() { return kCce; }

std::span<const Window> windows() { return kWindows; }

int compare_minor(std::string_view a, std::string_view b) {
  const auto minor = [](std::string_view text) {
    return text.substr(std::min(text.find('.') + 1, text.size()));
  };
  const int difference = number(a) != number(b) ? number(a) - number(b) : number(minor(a)) - number(minor(b));
  return difference < 0 ? -1 : difference > 0 ? 1 : 0;
}

std::span<const Kubernetes> kubernetes_releases() { return kReleases; }

const Kubernetes* kubernetes(std::string_view minor) {
  const auto it =
      std::find_if(kReleases.begin(), kReleases.end(), [&](const Kubernetes& k) { return k.minor == minor; });
  return it == kReleases.end() ? nullptr : &*it;
}

const Kubernetes& default_kubernetes() { return kReleases[1]; }

}  // namespace tg::catalog
