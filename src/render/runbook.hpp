// RUNBOOK.md: what a person needs who looks after this platform, with its real names. Pure.
#pragma once

#include <string>
#include <vector>

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render {

std::string runbook(const Context& context, const spec::Documents& documents, const std::vector<Part>& parts);

// The diagram alone, as Mermaid: groups of pods and the edges between them.
std::string diagram(const Context& context, const std::vector<Part>& parts);

}  // namespace tg::render
