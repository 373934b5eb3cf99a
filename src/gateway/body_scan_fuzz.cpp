// Facts point into the body, and a body that is accepted has no duplicate top-level key by another parser's
// reading.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "gateway/body_scan.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  static tg::gateway::BodyScanner scanner;
  tg::gateway::BodyFacts facts;
  if (!scanner.scan(body, facts)) return 0;
  const auto inside = [&](std::string_view piece) {
    return piece.empty() ||
           (piece.data() >= body.data() && piece.data() + piece.size() <= body.data() + body.size());
  };
  if (!inside(facts.model_raw) || !inside(facts.options_raw) || !inside(facts.usage_raw)) std::abort();
  if (facts.root_open == 0 || facts.root_open > body.size() || body[facts.root_open - 1] != '{') std::abort();
  if (facts.model.empty() || facts.prompt_code_points < 0) std::abort();
  return 0;
}
