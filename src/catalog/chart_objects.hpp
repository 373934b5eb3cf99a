// Kinds of objects that charts make with the values that are rendered for them: what whoever installs the
// chart must be allowed to write. Known of the charts that a pipeline installs, all others are installed by
// operators. Test pods, which `helm test` alone makes, are left out. Constant data, any thread.
#pragma once

#include <span>
#include <string_view>

namespace tg::catalog {

struct ChartObject {
  std::string_view chart;
  std::string_view group;     // "" is the core group
  std::string_view resource;  // "deployments"
  bool cluster = false;       // of no namespace
};

// Of one chart, in the order of group and resource; empty: not known.
std::span<const ChartObject> chart_objects(std::string_view chart);

}  // namespace tg::catalog
