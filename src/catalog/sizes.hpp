// What the parts of a platform ask of a node: requests and limits of every workload that the renderer sets,
// by profile. The renderer writes them into values and manifests; the checker adds them up. Constant data,
// any thread.
//
// The figures of profile `small` are measured or estimated for one machine of 3 processors and 4 GiB; those
// of `standard` are what the projects recommend for clusters of up to about a hundred nodes.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace tg::catalog {

enum class Profile : std::uint8_t { standard, small };

struct Size {
  std::string_view cpu_request;     // "100m"
  std::string_view memory_request;  // "128Mi"
  std::string_view cpu_limit;       // empty = none: a processor that is free is used
  std::string_view memory_limit;
};

struct Workload {
  std::string_view component;  // "metrics"
  std::string_view name;       // "prometheus"
  int replicas[2];             // standard, small; 0 = not there in this profile; -1 = one on every node
  Size size[2];                // standard, small
};

std::span<const Workload> workloads();
// A pair that is not in the table is a fault of this program: it ends with a message.
const Workload& workload(std::string_view component, std::string_view name);
const Size& size(std::string_view component, std::string_view name, Profile profile);
int replicas(std::string_view component, std::string_view name, Profile profile);

}  // namespace tg::catalog
