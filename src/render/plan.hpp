// plan.json: what apply does, in which order, with digests. Pure.
#pragma once

#include <string>
#include <vector>

#include "render/context.hpp"
#include "render/outputs.hpp"
#include "render/part.hpp"
#include "render/tree.hpp"

namespace tg::render {

// `parts` in the order of their work; `tree` holds their files; `open` waits for outputs of the
// infrastructure.
std::string plan_json(const Context& context, const std::vector<Part>& parts, const Tree& tree,
                      const std::vector<OutputUse>& open);

}  // namespace tg::render
