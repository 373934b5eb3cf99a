// The picture of the whole platform, as Mermaid: where it runs, what its machines hold, who comes in and
// which data outlives it. Pure.
#pragma once

#include <string>
#include <vector>

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render {

std::string architecture(const Context& context, const std::vector<Part>& parts);

}  // namespace tg::render
