// Where a platform runs, one function per file of this folder. Each gives nothing on any other
// infrastructure.
#pragma once

#include <vector>

#include "render/parts.hpp"

namespace tg::render {


}  // namespace tg::render
