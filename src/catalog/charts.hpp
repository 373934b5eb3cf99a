// The Helm charts that a platform is built of: one pinned release of each. Constant data, any thread.
//
// A chart is named by the repository that its project publishes it in. `digest` is the SHA-256 of the archive
// where it was seen; where it was not, it is empty and whoever fetches the archive first records it.
#pragma once

#include <span>
#include <string_view>

namespace tg::catalog {

struct Chart {
  std::string_view name;        // "kube-prometheus-stack"; unique in the table
  std::string_view version;     // of the chart: "88.5.3"
  std::string_view app;         // version of the program in it, empty if the chart does not say
  std::string_view repository;  // "https://…" of an index, or "oci://…" of the folder that holds the chart
  std::string_view licence;
  std::string_view digest{};
};

// In the order of their names.
std::span<const Chart> charts();
// By name. A name that is not in the table is a fault of this program: it ends with a message.
const Chart& chart(std::string_view name);

}  // namespace tg::catalog
