// Values as YAML text that every reader understands alike: whatever a YAML 1.1 or 1.2 parser could take for
// something else than the same text is written in double quotes.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace tg::text {

// Block style, two spaces, one line feed at the end; empty maps and lists as {} and []. Strings must be
// UTF-8; bytes that are not are written as U+FFFD. Parsing the answer gives an equal value.
std::string emit_yaml(const nlohmann::ordered_json& value);

// The text as a YAML scalar: plain where that is safe, else in double quotes.
std::string yaml_scalar(std::string_view text);

}  // namespace tg::text
