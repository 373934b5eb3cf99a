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

}  // namespace tg::catalog
