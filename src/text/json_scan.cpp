#include "text/json_scan.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace tg::text {

struct JsonScanner::Impl {
  std::unique_ptr<simdjson::internal::dom_parser_implementation> parser;
  std::size_t capacity = 0;
};

JsonScanner::JsonScanner() : impl_(std::make_unique<Impl>()) {}
JsonScanner::~JsonScanner() = default;

namespace {

constexpr bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_number(std::string_view text) {
  std::size_t at = 0;
  const auto digits = [&] {
    const std::size_t from = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    return at - from;
  };
  if (at < text.size() && text[at] == '-') ++at;
  if (at < text.size() && text[at] == '0') {
    ++at;
  } else if (digits() == 0) {
    return false;
  }
  if (at < text.size() && text[at] == '.') {
    ++at;
    if (digits() == 0) return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (digits() == 0) return false;
  }
  return at == text.size();
}

// The walk over structural indexes. One object per scan, on the stack.
class Walk {
 public:
  Walk(std::string_view text, const std::uint32_t* index, std::size_t count, JsonVisitor& visitor)
      : text_(text), index_(index), count_(count), visitor_(visitor) {}

  Result<> run() {
    std::string_view key;
    // Each turn consumes one value at `at_`, then the separators and brackets behind it.
    for (;;) {
      if (at_ == count_) return bad("the text ends too early");
      const char c = text_[index_[at_]];
      if (c == '{' || c == '[') {
        if (depth_ == kMaxJsonDepth) {
          return fail("json_too_deep", fmt::format("JSON nested deeper than {} levels at byte {}",
                                                   kMaxJsonDepth, index_[at_]));
        }
        visitor_.on_value(
            {key, text_.substr(index_[at_], 1), c == '{' ? JsonKind::object : JsonKind::array, depth_});
        stack_[static_cast<std::size_t>(depth_++)] = {key.data(), static_cast<std::uint32_t>(key.size()),
                                                      index_[at_], c == '{'};
        ++at_;
        if (at_ == count_) return bad("the text ends too early");
        if (text_[index_[at_]] != (c == '{' ? '}' : ']')) {
          if (c == '{') {
            if (!take_key(key)) return bad_;
          } else {
            key = {};
          }
          continue;
        }
        close();
      } else {
        if (!scalar(key, c)) return bad_;
      }
      // Behind a value: close as many containers as end here, then a comma brings the next value.
      for (;;) {
        if (depth_ == 0) {
          if (at_ != count_) return bad("something follows the end of the JSON text");
          return {};
        }
        if (at_ == count_) return bad("the text ends too early");
        const bool object = stack_[static_cast<std::size_t>(depth_ - 1)].object;
        const char next = text_[index_[at_]];
        if (next == ',') {
          ++at_;
          key = {};
          if (object && !take_key(key)) return bad_;
          break;
        }
        if (next != (object ? '}' : ']')) return bad(object ? "expected ',' or '}'" : "expected ',' or ']'");
        close();
      }
    }
  }

 private:
  // Without a constructor: 128 of them stand on the stack of each scan, and most scans use five.
  struct Open {
    const char* key;
    std::uint32_t key_size;
    std::uint32_t begin;
    bool object;
  };

  // Notes what is wrong here. Always false.
  bool refuse(const char* what) {
    const std::size_t at = at_ < count_ ? index_[at_] : text_.size();
    bad_ = fail("invalid_json", fmt::format("invalid JSON at byte {}: {}", at, what));
    return false;
  }

  Result<> bad(const char* what) {
    refuse(what);
    return bad_;
  }

  // The end of the token that starts at index i: the next structural character, less white space before it.
  std::size_t token_end(std::size_t i) const {
    std::size_t end = i + 1 < count_ ? index_[i + 1] : text_.size();
    while (end > index_[i] + 1 && is_space(text_[end - 1])) --end;
    return end;
  }

  bool take_key(std::string_view& key) {
    if (at_ == count_ || text_[index_[at_]] != '"') return refuse("expected a key in quotes");
    const std::size_t begin = index_[at_];
    const std::size_t end = token_end(at_);
    if (end < begin + 2 || text_[end - 1] != '"') return refuse("a key does not end in a quote");
    key = text_.substr(begin + 1, end - begin - 2);
    ++at_;
    if (at_ == count_ || text_[index_[at_]] != ':') return refuse("expected ':' after a key");
    ++at_;
    return true;
  }

  bool scalar(std::string_view key, char c) {
    const std::size_t begin = index_[at_];
    const std::string_view raw = text_.substr(begin, token_end(at_) - begin);
    JsonKind kind = JsonKind::number;
    bool good = false;
    switch (c) {
      case '"':
        kind = JsonKind::string;
        good = raw.size() >= 2 && raw.back() == '"';
        break;
      case 't':
        kind = JsonKind::literal_true;
        good = raw == "true";
        break;
      case 'f':
        kind = JsonKind::literal_false;
        good = raw == "false";
        break;
      case 'n':
        kind = JsonKind::literal_null;
        good = raw == "null";
        break;
      default:
        good = is_number(raw);
    }
    if (!good) return refuse("not a JSON value");
    visitor_.on_value({key, raw, kind, depth_});
    ++at_;
    return true;
  }

  void close() {
    const Open& open = stack_[static_cast<std::size_t>(--depth_)];
    visitor_.on_close({{open.key, open.key_size},
                       text_.substr(open.begin, index_[at_] + 1 - open.begin),
                       open.object ? JsonKind::object : JsonKind::array,
                       depth_});
    ++at_;
  }

  std::string_view text_;
  const std::uint32_t* index_;
  std::size_t count_;
  JsonVisitor& visitor_;
  std::size_t at_ = 0;
  int depth_ = 0;
  Result<> bad_;
  std::array<Open, kMaxJsonDepth> stack_;
};

}  // namespace

Result<> JsonScanner::scan(std::string_view text, JsonVisitor& visitor) {
  if (text.size() > impl_->capacity || impl_->parser == nullptr) {
    // Indexes cost 4 bytes a byte of text: grown by need, not to the largest body that could come.
    std::size_t capacity = 4096;
    while (capacity < text.size()) capacity *= 2;
    impl_->parser.reset();
    if (simdjson::get_active_implementation()->create_dom_parser_implementation(capacity, 1, impl_->parser) !=
        simdjson::SUCCESS) {
      impl_->capacity = 0;
      return fail("out_of_memory", "no memory to scan the JSON text");
    }
    impl_->capacity = capacity;
  }
  const auto code = impl_->parser->stage1(reinterpret_cast<const std::uint8_t*>(text.data()), text.size(),
                                          simdjson::stage1_mode::regular);
  if (code == simdjson::UTF8_ERROR) return fail("invalid_utf8", "the text is not valid UTF-8");
  if (code == simdjson::UNESCAPED_CHARS)
    return fail("invalid_json", "invalid JSON: a control character inside a string");
  if (code == simdjson::UNCLOSED_STRING) return fail("invalid_json", "invalid JSON: a string is not closed");
  if (code != simdjson::SUCCESS) return fail("invalid_json", "invalid JSON: the text is empty");
  Walk walk(text, impl_->parser->structural_indexes.get(), impl_->parser->n_structural_indexes, visitor);
  return walk.run();
}

namespace {

int hex4(std::string_view text) {
  int value = 0;
  for (const char c : text) {
    value <<= 4;
    if (is_digit(c)) {
      value |= c - '0';
    } else if (c >= 'a' && c <= 'f') {
      value |= c - 'a' + 10;
    } else if (c >= 'A' && c <= 'F') {
      value |= c - 'A' + 10;
    } else {
      return -1;
    }
  }
  return value;
}

void append_utf8(std::string& out, unsigned code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 63));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 63));
    out += static_cast<char>(0x80 | (code & 63));
  } else {
    out += static_cast<char>(0xF0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 63));
    out += static_cast<char>(0x80 | (code >> 6 & 63));
    out += static_cast<char>(0x80 | (code & 63));
  }
}

}  // namespace

bool json_unescape(std::string_view raw, std::string& out) {
  out.clear();
  std::size_t at = 0;
  while (at < raw.size()) {
    const std::size_t slash = raw.find('\\', at);
    out.append(raw.substr(at, slash - at));
    if (slash == std::string_view::npos) return true;
    if (slash + 1 >= raw.size()) return false;
    at = slash + 2;
    switch (raw[slash + 1]) {
      case '"':
        out += '"';
        break;
      case '\\':
        out += '\\';
        break;
      case '/':
        out += '/';
        break;
      case 'b':
        out += '\b';
        break;
      case 'f':
        out += '\f';
        break;
      case 'n':
        out += '\n';
        break;
      case 'r':
        out += '\r';
        break;
      case 't':
        out += '\t';
        break;
      case 'u': {
        if (at + 4 > raw.size()) return false;
        const int unit = hex4(raw.substr(at, 4));
        if (unit < 0) return false;
        at += 4;
        auto code = static_cast<unsigned>(unit);
        if (unit >= 0xD800 && unit < 0xDC00) {
          if (at + 6 > raw.size() || raw[at] != '\\' || raw[at + 1] != 'u') return false;
          const int low = hex4(raw.substr(at + 2, 4));
          if (low < 0xDC00 || low > 0xDFFF) return false;
          code = 0x10000 + ((code - 0xD800) << 10) + static_cast<unsigned>(low - 0xDC00);
          at += 6;
        } else if (unit >= 0xDC00 && unit < 0xE000) {
          return false;
        }
        append_utf8(out, code);
        break;
      }
      default:
        return false;
    }
  }
  return true;
}

namespace {

// Bytes that are not UTF-8 continuation bytes (10xxxxxx), with `kSlashes` less one for each backslash: 16 at
// a time where SSE2 is the baseline.
#if defined(__x86_64__)
// 32 at a time where the processor can: a prompt of 100 KB is counted in 2 µs.
template <bool kSlashes>
__attribute__((target("avx2"))) std::int64_t count_blocks_avx2(const char*& p, std::size_t& left) {
  std::int64_t count = 0;
  const __m256i limit = _mm256_set1_epi8(-65);
  while (left >= 32) {
    __m256i lanes = _mm256_setzero_si256();
    std::size_t blocks = std::min<std::size_t>(left / 32, 255);
    left -= blocks * 32;
    for (; blocks > 0; --blocks, p += 32) {
      const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
      __m256i counted = _mm256_cmpgt_epi8(bytes, limit);
      if constexpr (kSlashes)
        counted = _mm256_andnot_si256(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\\')), counted);
      lanes = _mm256_sub_epi8(lanes, counted);
    }
    const __m256i sums = _mm256_sad_epu8(lanes, _mm256_setzero_si256());
    count += _mm256_extract_epi64(sums, 0) + _mm256_extract_epi64(sums, 1) + _mm256_extract_epi64(sums, 2) +
             _mm256_extract_epi64(sums, 3);
  }
  return count;
}
#endif

template <bool kSlashes>
std::int64_t count_leading_bytes(std::string_view text) {
  std::int64_t count = 0;
  const char* p = text.data();
  std::size_t left = text.size();
#if defined(__x86_64__)
  if (left >= 1024 && __builtin_cpu_supports("avx2") != 0) count = count_blocks_avx2<kSlashes>(p, left);
#endif
#if defined(__SSE2__)
  const __m128i limit = _mm_set1_epi8(-65);  // continuation bytes are the signed values -128 … -65
  while (left >= 16) {
    // A lane counts up to 255 before it is added to the sum.
    __m128i lanes = _mm_setzero_si128();
    std::size_t blocks = std::min<std::size_t>(left / 16, 255);
    left -= blocks * 16;
    for (; blocks > 0; --blocks, p += 16) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
      __m128i counted = _mm_cmpgt_epi8(bytes, limit);
      if constexpr (kSlashes) counted = _mm_andnot_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')), counted);
      lanes = _mm_sub_epi8(lanes, counted);
    }
    const __m128i sums = _mm_sad_epu8(lanes, _mm_setzero_si128());
    count += _mm_cvtsi128_si64(sums) + _mm_cvtsi128_si64(_mm_unpackhi_epi64(sums, sums));
  }
#endif
  for (; left > 0; --left, ++p) count += (*p & 0xC0) != 0x80 && !(kSlashes && *p == '\\');
  return count;
}

}  // namespace

std::int64_t json_code_points(std::string_view raw) {
  std::int64_t count = count_leading_bytes<false>(raw);
  for (std::size_t at = 0; at + 1 < raw.size(); ++at) {
    const void* slash = std::memchr(raw.data() + at, '\\', raw.size() - at);
    if (slash == nullptr) break;
    at = static_cast<std::size_t>(static_cast<const char*>(slash) - raw.data()) + 1;
    --count;  // two characters stand for one
    if (at + 4 >= raw.size() || raw[at] != 'u') continue;
    count -= 4;
    const int unit = hex4(raw.substr(at + 1, 4));
    if (unit >= 0xDC00 && unit < 0xE000) --count;  // second half of a pair
    at += 4;
  }
  return count;
}

std::int64_t json_code_points_about(std::string_view raw) {
  return raw.size() <= 4096 ? json_code_points(raw) : count_leading_bytes<true>(raw);
}

std::int64_t json_integer(std::string_view raw) {
  if (raw.empty() || raw.size() > 15) return -1;
  std::int64_t value = 0;
  for (const char c : raw) {
    if (!is_digit(c)) return -1;
    value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace tg::text
