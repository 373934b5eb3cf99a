#include "http/sse.hpp"

#include <bit>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace tg::http {

namespace {
// First LF or CR at or after `from`, both looked for in one pass.
std::size_t find_line_end(std::string_view bytes, std::size_t from) {
  std::size_t at = from;
#if defined(__SSE2__)
  const __m128i lf = _mm_set1_epi8('\n');
  const __m128i cr = _mm_set1_epi8('\r');
  for (; at + 16 <= bytes.size(); at += 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes.data() + at));
    const int found = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(block, lf), _mm_cmpeq_epi8(block, cr)));
    if (found != 0) return at + static_cast<std::size_t>(std::countr_zero(static_cast<unsigned>(found)));
  }
#endif
  for (; at < bytes.size(); ++at) {
    if (bytes[at] == '\n' || bytes[at] == '\r') return at;
  }
  return std::string_view::npos;
}
}  // namespace

std::size_t SseSplitter::event_end(std::string_view bytes) {
  std::size_t at = 0;
  if (after_cr_ && !bytes.empty()) {
    after_cr_ = false;
    // The LF of a CRLF that was cut: it belongs to the line, and to the event, that the CR ended.
    crlf_ = bytes[0] == '\n';
    if (held_) {
      held_ = false;
      at_boundary_ = true;
      return crlf_ ? 1 : 0;
    }
    if (crlf_) {
      if (at_boundary_) return 1;
      at = 1;
    }
  }
  while (at < bytes.size()) {
    const std::size_t end = find_line_end(bytes, at);
    if (end == std::string_view::npos) {
      line_empty_ = false;
      at_boundary_ = false;
      return std::string_view::npos;
    }
    const bool empty = line_empty_ && end == at;
    std::size_t next = end + 1;
    if (bytes[end] == '\r' && next == bytes.size()) {
      after_cr_ = true;
      if (empty && crlf_) {
        held_ = line_empty_ = true;
        at_boundary_ = false;
        return std::string_view::npos;
      }
    } else {
      crlf_ = bytes[end] == '\r' && bytes[next] == '\n';
      if (crlf_) ++next;
    }
    line_empty_ = true;
    at_boundary_ = empty;
    if (empty) return next;
    at = next;
  }
  return std::string_view::npos;
}

std::string_view sse_data(std::string_view event) {
  std::size_t at = 0;
  while (at < event.size()) {
    std::size_t end = find_line_end(event, at);
    if (end == std::string_view::npos) end = event.size();
    std::string_view line = event.substr(at, end - at);
    if (line.starts_with("data:")) {
      line.remove_prefix(5);
      if (line.starts_with(' ')) line.remove_prefix(1);
      return line;
    }
    at = end + 1;
  }
  return {};
}

}  // namespace tg::http
