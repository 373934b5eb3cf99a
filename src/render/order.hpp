// In which order parts are applied: their numbers, and before each what it says must be there first.
#pragma once

#include <vector>

#include "render/part.hpp"

namespace tg::render {

// All parts, each behind those of its `after` that are there; otherwise by kind and number. A circle ends the
// process: it is a mistake of the renderer, not of a document. The parts must outlive the result.
std::vector<const Part*> in_order(const std::vector<Part>& parts);

}  // namespace tg::render
