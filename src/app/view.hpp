// Showing an object of the admin API in the format asked for, once or again and again (--watch).
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "app/terminal.hpp"
#include "base/error.hpp"

namespace tg::app {

struct View {
  // The object as JSON text, as the API sent it.
  std::function<Result<std::string>()> get;
  // For people: Format::table and Format::wide.
  std::function<void(Terminal&, const nlohmann::ordered_json&, bool wide)> show;
  // -o name: one line each.
  std::function<std::vector<std::string>(const nlohmann::ordered_json&)> names;
};

// Prints the object once. JSON is the API's text unchanged.
Result<> show(Terminal& terminal, Format format, const View& view);

// --watch: redraws on a terminal once a second; in a pipe appends one JSON object per line each time it
// changes. A lost tidegate is waited for, said once. Returns when stdout is closed, or an error at the first
// call.
Result<> watch(Terminal& terminal, Format format, const View& view);

// Prints JSON text as JSON or YAML.
Result<> print_object(Terminal& terminal, Format format, const std::string& json);
Result<nlohmann::ordered_json> parse_object(const std::string& json);

// Members of API objects, forgiving: a missing one is empty or 0. Texts come without control characters.
std::string text_at(const nlohmann::ordered_json& j, const char* pointer);
std::int64_t number_at(const nlohmann::ordered_json& j, const char* pointer);

// How a state word is painted: ready good, failed and blocked bad, on its way warn.
Style state_style(std::string_view state);

}  // namespace tg::app
