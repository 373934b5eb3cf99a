// How changes reach the platform: pipelines, scanners, update bots, the runbook. One function per file.
#pragma once

#include <vector>

#include "render/parts.hpp"

namespace tg::render {}  // namespace tg::render
