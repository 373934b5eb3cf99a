// The YAML 1.2 core schema (section 10.3.2) for plain scalars.
#include <algorithm>

#include "text/yaml.hpp"

namespace tg::text {

namespace {

constexpr std::string_view kCore = "tag:yaml.org,2002:";

bool all_of(std::string_view text, std::string_view allowed) {
  return !text.empty() && text.find_first_not_of(allowed) == std::string_view::npos;
}

constexpr std::string_view kDigits = "0123456789";

// [-+]?[0-9]+ | 0o[0-7]+ | 0x[0-9a-fA-F]+
bool is_integer(std::string_view text) {
  if (text.starts_with("0o")) return all_of(text.substr(2), "01234567");
  if (text.starts_with("0x")) return all_of(text.substr(2), "0123456789abcdefABCDEF");
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  return all_of(text, kDigits);
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? | [-+]?\.(inf|Inf|INF) | \.(nan|NaN|NAN)
bool is_floating(std::string_view text) {
  if (text == ".nan" || text == ".NaN" || text == ".NAN") return true;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  if (text == ".inf" || text == ".Inf" || text == ".INF") return true;
  const std::size_t whole = std::min(text.find_first_not_of(kDigits), text.size());
  text.remove_prefix(whole);
  std::size_t fraction = 0;
  if (!text.empty() && text[0] == '.') {
    text.remove_prefix(1);
    fraction = std::min(text.find_first_not_of(kDigits), text.size());
    text.remove_prefix(fraction);
  }
  if (whole + fraction == 0) return false;
  if (text.empty()) return true;
  if (text[0] != 'e' && text[0] != 'E') return false;
  text.remove_prefix(1);
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  return all_of(text, kDigits);
}

bool is_boolean(std::string_view text) {
  return text == "true" || text == "True" || text == "TRUE" || text == "false" || text == "False" ||
         text == "FALSE";
}

bool is_null(std::string_view text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

ScalarType by_form(std::string_view text) {
  if (is_null(text)) return ScalarType::null;
  if (is_boolean(text)) return ScalarType::boolean;
  if (is_integer(text)) return ScalarType::integer;
  if (is_floating(text)) return ScalarType::floating;
  return ScalarType::text;
}

}  // namespace

ScalarType resolve(const Node& scalar) {
  if (scalar.tag.starts_with(kCore)) {
    // An explicit tag decides, but only if the text has that form: `!!int abc` stays text and fails where a
    // number is wanted.
    const std::string_view name = std::string_view(scalar.tag).substr(kCore.size());
    const ScalarType form = by_form(scalar.text);
    if (name == "int" && form == ScalarType::integer) return form;
    if (name == "float" && (form == ScalarType::integer || form == ScalarType::floating))
      return ScalarType::floating;
    if (name == "bool" && form == ScalarType::boolean) return form;
    if (name == "null" && form == ScalarType::null) return form;
    return ScalarType::text;
  }
  return scalar.plain ? by_form(scalar.text) : ScalarType::text;
}

std::string_view describe(const Node& node) {
  if (node.kind == Node::Kind::sequence) return "a list";
  if (node.kind == Node::Kind::mapping) return "a map";
  switch (resolve(node)) {
    case ScalarType::null:
      return "nothing";
    case ScalarType::boolean:
      return "a boolean";
    case ScalarType::integer:
    case ScalarType::floating:
      return "a number";
    case ScalarType::text:
      break;
  }
  return "text";
}

bool as_boolean(const Node& scalar) { return scalar.text.starts_with('t') || scalar.text.starts_with('T'); }

const Node* Node::find(std::string_view key) const {
  const auto it = std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.key == key; });
  return it == members.end() ? nullptr : &it->value;
}

}  // namespace tg::text
