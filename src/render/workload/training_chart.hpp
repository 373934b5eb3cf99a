// The templates of the chart that a TrainingRun is rendered as: a Job, a JobSet or a Deployment by its
// values. Constant text, as Helm reads it.
#pragma once

#include <vector>

#include "render/part.hpp"

namespace tg::render {

// Files below the chart's folder beside Chart.yaml and values.yaml.
std::vector<Extra> training_templates();

}  // namespace tg::render
