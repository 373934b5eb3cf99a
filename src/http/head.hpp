// Strict HTTP/1.1 heads (RFC 9112), both directions. Views point into the caller's buffer. What is lenient
// elsewhere is an error here: bare LF, obs-fold, space before a colon, two Content-Length, Content-Length
// with Transfer-Encoding, codings other than a single "chunked", signed or hex lengths, NUL and other
// controls, missing or double Host.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tg::http {

inline constexpr std::size_t kMaxHead = 32 * 1024;
inline constexpr std::size_t kMaxFields = 100;

// Fields that this program acts on; all others are `other`.
enum class FieldId : std::uint8_t {
  other,
  accept_encoding,
  alt_svc,
  api_key,
  authorization,
  connection,
  content_encoding,
  content_length,
  content_type,
  cookie,
  date,
  expect,
  forwarded,
  host,
  keep_alive,
  openai_organization,
  openai_project,
  proxy,
  retry_after,
  server,
  set_cookie,
  te,
  tidegate,
  trailer,
  transfer_encoding,
  upgrade,
  x_api_key,
  x_forwarded,
  x_goog_api_key,
  x_ratelimit,
  x_request_id
};

struct Field {
  std::string_view name;   // as written
  std::string_view value;  // without surrounding white space
  FieldId id;
};

// `name` is a token, as the parsers below check it.
FieldId field_id(std::string_view name);
bool equals_ignore_case(std::string_view a, std::string_view lower);

enum class ParseStatus { complete, incomplete, error };

// What was wrong, for the answer: the status to send and a text that names the rule.
struct ParseError {
  int status = 400;
  std::string_view reason;
};

// Fields of a head plus what framing needs. Reused: one per loop, refilled by each parse.
struct Head {
  std::array<Field, kMaxFields> fields;
  std::size_t field_count = 0;
  std::size_t size = 0;  // bytes of the head with its empty line
  bool http11 = true;
  bool keep_alive = true;  // by version and Connection
  bool chunked = false;
  bool has_length = false;
  std::uint64_t length = 0;   // Content-Length
  std::uint64_t present = 0;  // a bit for each FieldId that occurs

  const Field* begin() const { return fields.data(); }
  const Field* end() const { return fields.data() + field_count; }
  std::string_view find(FieldId id) const;  // first value; empty if absent
  bool has(FieldId id) const { return (present >> static_cast<unsigned>(id) & 1) != 0; }
  // True if `name` is listed in a Connection field, so it is hop-by-hop.
  bool named_in_connection(std::string_view name) const;
};

struct RequestHead : Head {
  std::string_view method;
  std::string_view target;  // as written: origin form, absolute form or "*"
  std::string_view path;    // its path, up to '?'
  std::string_view query;   // after '?', without it
  bool expect_continue = false;
};

struct ResponseHead : Head {
  int status = 0;
  std::string_view reason;
  // True if the body runs to the end of the connection: neither length nor chunks, and the status has a body.
  bool until_close = false;
};

// Finds the end of a head. `scanned` (in/out) is how far earlier calls came, so that slow senders cost linear
// time. complete: `end` = bytes of the head. error: a line ends in a bare LF, or the head is longer than
// kMaxHead.
ParseStatus find_head_end(std::string_view bytes, std::size_t& scanned, std::size_t& end, ParseError& error);

// `bytes` is exactly one head as found by find_head_end. False fills `error`.
bool parse_request_head(std::string_view bytes, RequestHead& head, ParseError& error);
// `head_request`: the answer to HEAD has no body whatever its fields say.
bool parse_response_head(std::string_view bytes, ResponseHead& head, ParseError& error);

std::string_view status_text(int status);

}  // namespace tg::http
