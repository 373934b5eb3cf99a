// Where a platform runs, one function per file of this folder. Each gives nothing on any other
// infrastructure.
#pragma once

#include <vector>

#include "render/parts.hpp"

namespace tg::render {

// Clouds come after what is published: their DNS names it.
std::vector<Part> aws(const Context&, const std::vector<Part>&);
std::vector<Part> azure(const Context&, const std::vector<Part>&);
std::vector<Part> existing(const Context&);
std::vector<Part> google(const Context&, const std::vector<Part>&);
std::vector<Part> k3s(const Context&);
std::vector<Part> machines(const Context&);
std::vector<Part> open_telekom_cloud(const Context&, const std::vector<Part>&);

}  // namespace tg::render
