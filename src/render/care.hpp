// What the runbook says of the care of any platform: who looks at what and when, what it costs, how it is
// brought up again. Pure.
#pragma once

#include <vector>

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render {

std::vector<Section> care(const Context& context, const std::vector<Part>& parts);

}  // namespace tg::render
