// The walk accepts exactly what nlohmann's parser accepts (both take RFC 8259 texts), apart from our depth
// limit.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "text/json_scan.hpp"

namespace {
struct Checker final : tg::text::JsonVisitor {
  const char* begin = nullptr;
  const char* end = nullptr;
  void on_value(const tg::text::JsonToken& t) override {
    if (t.raw.data() < begin || t.raw.data() + t.raw.size() > end) std::abort();
    std::string out;
    if (t.kind == tg::text::JsonKind::string) {
      tg::text::json_unescape(t.raw.substr(1, t.raw.size() - 2), out);
      if (tg::text::json_code_points(t.raw.substr(1, t.raw.size() - 2)) < 0) std::abort();
    }
  }
};
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  tg::text::JsonScanner scanner;
  Checker checker;
  checker.begin = text.data();
  checker.end = text.data() + text.size();
  const auto result = scanner.scan(text, checker);
  if (!result && result.error().code == "json_too_deep") return 0;
  // Escapes inside strings are checked when a string is decoded, not by the walk: compare only where there
  // are none.
  if (text.find('\\') != std::string_view::npos) return 0;
  // nlohmann takes a NUL for the end of its input.
  if (text.find('\0') != std::string_view::npos) return 0;
  // A byte order mark is skipped by nlohmann, refused here.
  if (text.starts_with("\xEF\xBB\xBF")) return 0;
  const bool accepted = nlohmann::json::accept(text);
  // It also refuses numbers that a double cannot hold, which the grammar allows.
  const bool may_overflow = text.find_first_of("eE") != std::string_view::npos || text.size() > 300;
  if (result && !accepted && may_overflow) return 0;
  if (accepted != result.has_value()) std::abort();
  return 0;
}
