// The searches before a deployment: the job that does them, and what each scanner is told to let pass, with
// its reason.
#pragma once

#include <vector>

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render {

// Steps of the job `check`, behind the checkout. Empty: nothing is searched.
Json scan_steps(const Context& context);
// Lines of a shell for other forges that do the same.
std::vector<std::string> scan_commands(const Context& context);
// ci/checkov.yaml, ci/trivy.yaml and ci/trivyignore.yaml, as far as they are used.
std::vector<Extra> scan_settings(const Context& context, const std::vector<Part>& parts);

}  // namespace tg::render
