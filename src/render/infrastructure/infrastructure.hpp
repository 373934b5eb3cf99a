// Where a platform runs, one function per file of this folder. Each gives nothing on any other
// infrastructure.
#pragma once

#include <vector>

#include "render/parts.hpp"

namespace tg::render {

std::vector<Part> existing(const Context&);
std::vector<Part> k3s(const Context&);
std::vector<Part> machines(const Context&);

}  // namespace tg::render
