#include "gateway/event_shape.hpp"

#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace tg::gateway {

namespace {

constexpr std::size_t kLongest = 1024;  // more around one string is no event of text

// From 0x20 to 0x7F, no quote and no backslash.
bool is_plain(std::string_view text) {
  std::size_t at = 0;
#if defined(__SSE2__)
  const __m128i space = _mm_set1_epi8(0x20);
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i slash = _mm_set1_epi8('\\');
  for (; at + 16 <= text.size(); at += 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + at));
    // Signed: bytes above 0x7F are below the space as well.
    const __m128i low = _mm_cmplt_epi8(block, space);
    const __m128i other = _mm_or_si128(_mm_cmpeq_epi8(block, quote), _mm_cmpeq_epi8(block, slash));
    if (_mm_movemask_epi8(_mm_or_si128(low, other)) != 0) return false;
  }
#endif
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (static_cast<signed char>(c) < 0x20 || c == '"' || c == '\\') return false;
  }
  return true;
}

}  // namespace

void EventShape::learn(std::string_view json, std::string_view text) {
  prefix_ = 0;
  if (json.size() - text.size() > kLongest) return;
  prefix_ = static_cast<std::size_t>(text.data() - json.data());
  around_.assign(json.substr(0, prefix_));
  around_.append(json.substr(prefix_ + text.size()));
}

std::optional<std::int64_t> EventShape::code_points(std::string_view json) const {
  if (prefix_ == 0 || json.size() < around_.size()) return std::nullopt;
  const std::size_t length = json.size() - around_.size();
  const std::size_t behind = around_.size() - prefix_;
  if (std::memcmp(json.data(), around_.data(), prefix_) != 0 ||
      std::memcmp(json.data() + prefix_ + length, around_.data() + prefix_, behind) != 0 ||
      !is_plain(json.substr(prefix_, length))) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(length);
}

}  // namespace tg::gateway
