// RUNBOOK.md: what a person needs who looks after this platform, with its real names. Pure.
#pragma once

#include <string>
#include <vector>

#include "render/context.hpp"
#include "render/outputs.hpp"
#include "render/part.hpp"

namespace tg::render {

// `uses`: where outputs of the infrastructure are asked for, whether they are known or not.
std::string runbook(const Context& context, const spec::Documents& documents, const std::vector<Part>& parts,
                    const std::vector<OutputUse>& uses);

// The diagram alone, as Mermaid: groups of pods and the edges between them.
std::string diagram(const Context& context, const std::vector<Part>& parts);

}  // namespace tg::render
