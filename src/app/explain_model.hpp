// The long text of a Model's state: why not ready, what bounds it, the last decisions and starts. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "app/terminal.hpp"

namespace tg::app {

// `wide`: all decisions with their inputs, else the last five.
std::string explain_model_text(const Terminal& terminal, const nlohmann::ordered_json& model, bool wide);

}  // namespace tg::app
