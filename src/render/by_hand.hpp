// The steps of the plan as commands that a person can type.
#pragma once

#include <string>
#include <vector>

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render {

// Lines of shell in the order of the plan, from the folder of the tree, for everything that stands on the
// infrastructure. What somebody else delivers is left to it.
std::string by_hand(const Context& context, const std::vector<Part>& parts);

}  // namespace tg::render
