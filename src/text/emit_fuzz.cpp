// Any valid UTF-8 text written as a YAML scalar, or as a value in a tree, is read back as the same text.
#include <simdjson.h>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "text/emit.hpp"
#include "text/yaml.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const bool valid = simdjson::validate_utf8(text.data(), text.size());
  const auto file = tg::text::parse_yaml("- " + tg::text::yaml_scalar(text) + "\n");
  if (!file.problems.empty() || file.documents.size() != 1) std::abort();
  const auto& item = file.documents[0].items.at(0);
  if (resolve(item) != tg::text::ScalarType::text) std::abort();
  if (valid && item.text != text) std::abort();
  if (!valid) return 0;
  // As a value of a map in a list, where texts of several lines are blocks.
  const auto nested = nlohmann::ordered_json{{"a", {{{"b", std::string(text)}}, std::string(text)}}};
  const auto tree = tg::text::parse_yaml(tg::text::emit_yaml(nested));
  if (!tree.problems.empty() || tree.documents.size() != 1) std::abort();
  const auto& list = tree.documents[0].members.at(0).value.items;
  if (list.at(0).members.at(0).value.text != text || list.at(1).text != text) std::abort();
  return 0;
}
