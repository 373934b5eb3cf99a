// The user's own things: databases, apps, tenants, training runs. One function per file of this folder.
#pragma once

#include <vector>

#include "render/parts.hpp"

namespace tg::render {

std::vector<Part> data(const Context&);

}  // namespace tg::render
