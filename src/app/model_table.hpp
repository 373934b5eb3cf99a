// Models as a table, for `models` and `status`: the sick ones first.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "app/terminal.hpp"

namespace tg::app {

std::string model_table(const Terminal& terminal, const nlohmann::ordered_json& items, bool wide);
// Failed and blocked ones.
std::vector<nlohmann::ordered_json> sick_models(const nlohmann::ordered_json& items);

}  // namespace tg::app
