// The table of parts: which file contributes what, in which order. Adding a component touches its own file,
// its test and one row here.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render {

// Built from the documents alone. Nothing if the platform does not have it; several for things that have
// names (apps, data, tenants).
using Build = std::vector<Part> (*)(const Context&);
// Built from all parts before it, for what nobody can know alone: namespaces, policies, routes, alerts.
using Collect = std::vector<Part> (*)(const Context&, const std::vector<Part>&);

struct Entry {
  std::string_view name;
  int order = 0;  // of components: the number of the folder
  Build build = nullptr;
  Collect collect = nullptr;
};

// In the order in which they are built; collectors come after all others.
std::span<const Entry> entries();

// A component of this name with its order from the table.
Part component(std::string_view name);

}  // namespace tg::render
