// How changes reach the platform: pipelines, scanners, update bots. One function per file of this folder.
#pragma once

#include <string>
#include <vector>

#include "render/parts.hpp"

namespace tg::render {

std::vector<Part> pipeline(const Context&, const std::vector<Part>&);
// Environments from which the pipeline comes in.
std::vector<std::string> pipeline_environments(const Context&);
// The groups that the API server gives to its tokens, and to which its Role is bound.
std::vector<std::string> pipeline_groups(const Context&);
std::vector<Part> updates(const Context&);

}  // namespace tg::render
