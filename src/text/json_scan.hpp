// Walks one JSON text without building it: the grammar of the whole document is checked (UTF-8, brackets,
// commas, literals, numbers, depth, nothing behind the end) and a visitor sees every value with its byte
// range. Structural indexes come from simdjson's first stage (SIMD), the walk is ours: the on-demand front
// end checks only what it visits. Reused: one per thread. Its cost is in the cell req100k of
// docs/benchmarks.md.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace tg::text {

inline constexpr int kMaxJsonDepth = 128;

enum class JsonKind : std::uint8_t {
  object,
  array,
  string,
  number,
  literal_true,
  literal_false,
  literal_null
};

// A value as it stands in the text.
struct JsonToken {
  std::string_view key;  // raw bytes between the quotes of its key; empty in arrays and for the root
  std::string_view raw;  // the value's bytes, quotes and brackets included
  JsonKind kind = JsonKind::literal_null;
  int depth = 0;  // 0 = root, 1 = member of the root …
};

class JsonVisitor {
 public:
  // Called for scalars, and for containers when they open (raw is then the opening bracket only).
  virtual void on_value(const JsonToken& token) = 0;
  // Called when a container closes, with its whole range.
  virtual void on_close(const JsonToken& token) { (void)token; }

 protected:
  ~JsonVisitor() = default;
};

class JsonScanner {
 public:
  JsonScanner();
  ~JsonScanner();
  JsonScanner(const JsonScanner&) = delete;
  JsonScanner& operator=(const JsonScanner&) = delete;

  // Error codes: invalid_json (with what and the byte offset), invalid_utf8, json_too_deep. Visitor calls
  // made before an error is found stand: act on them only after success.
  Result<> scan(std::string_view text, JsonVisitor& visitor);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Decodes the escapes of a string's raw bytes (without quotes). False: a bad escape or a lone surrogate.
bool json_unescape(std::string_view raw, std::string& out);
// Code points of a string's raw bytes once decoded. Escapes are taken as valid.
std::int64_t json_code_points(std::string_view raw);
// The same, but above 4 KiB escapes are counted as one code point less for each backslash: exact for all but
// "\\\\" and
// "\\uXXXX", at the speed of memory. For estimates of long prompts.
std::int64_t json_code_points_about(std::string_view raw);
// A non-negative integer without sign, fraction or exponent that fits; else -1.
std::int64_t json_integer(std::string_view raw);

}  // namespace tg::text
