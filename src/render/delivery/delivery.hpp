// How changes reach the platform: pipelines, scanners, update bots. One function per file of this folder.
#pragma once

#include <vector>

#include "render/parts.hpp"

namespace tg::render {

std::vector<Part> pipeline(const Context&, const std::vector<Part>&);
std::vector<Part> updates(const Context&);

}  // namespace tg::render
