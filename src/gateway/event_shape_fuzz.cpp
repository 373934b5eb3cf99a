// Any event with one text, and that text replaced by any bytes: what the shape takes for known, a scan must
// tell.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "gateway/answer_scan.hpp"
#include "gateway/event_shape.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view all(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t cut = static_cast<std::size_t>(data[0]) * all.size() / 256;
  const std::string_view other = all.substr(0, cut);
  const std::string_view json = all.substr(cut);
  static tg::gateway::AnswerScanner scanner;
  const tg::gateway::AnswerFacts first = scanner.scan(json);
  if (first.only_text.data() == nullptr) return 0;
  tg::gateway::EventShape shape;
  shape.learn(json, first.only_text);
  const auto at = static_cast<std::size_t>(first.only_text.data() - json.data());
  std::string next(json.substr(0, at));
  next.append(other).append(json.substr(at + first.only_text.size()));
  const auto known = shape.code_points(next);
  if (!known) return 0;
  const tg::gateway::AnswerFacts facts = scanner.scan(next);
  if (!facts.valid || facts.usage.told() || facts.usage_only || facts.error || facts.code_points != *known)
    std::abort();
  return 0;
}
