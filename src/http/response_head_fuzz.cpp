#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "http/head.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::size_t scanned = 0;
  std::size_t end = 0;
  tg::http::ParseError error;
  if (tg::http::find_head_end(text, scanned, end, error) != tg::http::ParseStatus::complete) return 0;
  static tg::http::ResponseHead head;
  if (!tg::http::parse_response_head(text.substr(0, end), head, error)) return 0;
  if (head.status < 100 || head.status > 999 || (head.chunked && head.has_length)) std::abort();
  return 0;
}
