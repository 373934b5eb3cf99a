#include "text/toml.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace tg::text {

namespace {

using Json = nlohmann::ordered_json;

bool bare(const std::string& key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

// TOML's basic strings take the escapes of JSON but for "\/", which nlohmann never writes.
std::string quoted(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string key_text(const std::string& key) { return bare(key) ? key : quoted(key); }

bool is_table(const Json& value) { return value.is_object(); }

bool is_table_list(const Json& value) {
  return value.is_array() && !value.empty() && std::all_of(value.begin(), value.end(), is_table);
}

std::string inline_value(const Json& value) {
  if (value.is_string()) return quoted(value.get<std::string>());
  if (!value.is_array()) return value.dump();
  std::string out = "[";
  for (const Json& item : value) out += (out.size() > 1 ? ", " : "") + inline_value(item);
  return out + "]";
}

void table(const Json& value, const std::string& path, std::string& out) {
  for (const auto& [key, item] : value.items()) {
    if (item.is_null() || is_table(item) || is_table_list(item)) continue;
    out += fmt::format("{} = {}\n", key_text(key), inline_value(item));
  }
  for (const auto& [key, item] : value.items()) {
    const std::string below = path.empty() ? key_text(key) : path + "." + key_text(key);
    if (is_table(item)) {
      // A table that only holds tables needs no head of its own.
      const bool head = item.empty() || !std::all_of(item.begin(), item.end(), is_table);
      if (head) out += fmt::format("\n[{}]\n", below);
      table(item, below, out);
    } else if (is_table_list(item)) {
      for (const Json& entry : item) {
        out += fmt::format("\n[[{}]]\n", below);
        table(entry, below, out);
      }
    }
  }
}

}  // namespace

std::string emit_toml(const nlohmann::ordered_json& value) {
  std::string out;
  table(value, {}, out);
  return out;
}

}  // namespace tg::text
