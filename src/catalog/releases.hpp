// Releases of Kubernetes and how long each is looked after. Constant data, any thread.
#pragma once

#include <span>
#include <string_view>

namespace tg::catalog {

struct Kubernetes {
  std::string_view minor;  // "1.35"
  std::string_view patch;  // "1.35.8", the one that is installed
  std::string_view ends;   // last day of support by the project, "2027-02-28"
  std::string_view k3s;    // release of k3s for it, "v1.35.8+k3s1"
};

// Oldest first.
std::span<const Kubernetes> kubernetes_releases();
// nullptr if the minor is not offered.
const Kubernetes* kubernetes(std::string_view minor);
// The newest that every component of the catalog supports.
const Kubernetes& default_kubernetes();
// The day of this list, "2026-11-21": what ended before it has ended whenever the program runs.
std::string_view catalog_date();

// Minors that the Cloud Container Engine offers, which keeps its own windows; the newest is last.
std::span<const std::string_view> cce_versions();

// A part that goes with some minors only.
struct Window {
  std::string_view component;  // "gateway"
  std::string_view use;        // "ingress-nginx"
  std::string_view release;    // "4.15.1"
  std::string_view first, last;
};
std::span<const Window> windows();

// -1, 0, 1 as "1.9" comes before, is or comes after "1.10".
int compare_minor(std::string_view a, std::string_view b);

}  // namespace tg::catalog
