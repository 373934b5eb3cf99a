// Splitting never loses or invents a byte, whole or in two pieces.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "http/sse.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t cut = text.empty() ? 0 : data[0] % text.size();
  tg::http::SseSplitter splitter;
  std::string joined;
  for (std::string_view piece : {text.substr(0, cut), text.substr(cut)}) {
    while (!piece.empty()) {
      const std::size_t end = splitter.event_end(piece);
      if (end == std::string_view::npos) {
        joined += piece;
        break;
      }
      if (end > piece.size()) std::abort();
      const std::string_view event = piece.substr(0, end);
      joined += event;
      const std::string_view payload = tg::http::sse_data(event);
      if (payload.size() > event.size()) std::abort();
      piece.remove_prefix(end);
    }
  }
  if (joined != text) std::abort();
  return 0;
}
