// Any valid UTF-8 text written as a YAML scalar is read back as the same text.
#include <simdjson.h>

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
  return 0;
}
