// Values as TOML text, for programs whose configuration is TOML (containerd).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace tg::text {

// `value` is a map. Values stand before tables, both in their own order; a list of maps becomes an array of
// tables. Keys that are no bare keys are quoted. TOML has no null: a null is left out. Pure function.
std::string emit_toml(const nlohmann::ordered_json& value);

}  // namespace tg::text
