#include "http/head.hpp"

#include <bit>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace tg::http {

namespace {

// Character classes of RFC 9110: tchar for names and methods, value bytes (HT, SP, VCHAR, obs-text), target
// bytes, and bytes that no Host field holds.
enum : std::uint8_t { kToken = 1, kValue = 2, kTarget = 4, kNotHost = 8 };

constexpr std::array<std::uint8_t, 256> make_classes() {
  std::array<std::uint8_t, 256> classes{};
  for (std::size_t c = 0x21; c < 0x7F; ++c) classes[c] = kValue | kTarget;
  for (std::size_t c = 0x80; c < 0x100; ++c) classes[c] = kValue;
  classes[' '] = classes['\t'] = kValue;
  for (const char c :
       std::string_view("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")) {
    classes[static_cast<unsigned char>(c)] |= kToken;
  }
  classes['#'] &= static_cast<std::uint8_t>(~kTarget);  // a fragment is never sent
  for (const char c : std::string_view(" \t,/@")) classes[static_cast<unsigned char>(c)] |= kNotHost;
  return classes;
}
constexpr auto kClasses = make_classes();

std::uint8_t class_of(char c) { return kClasses[static_cast<unsigned char>(c)]; }

bool all_of(std::string_view text, std::uint8_t wanted) {
  std::uint8_t seen = 0xFF;
  for (const char c : text) seen &= class_of(c);
  return (seen & wanted) != 0;
}

bool any_of(std::string_view text, std::uint8_t unwanted) {
  std::uint8_t seen = 0;
  for (const char c : text) seen |= class_of(c);
  return (seen & unwanted) != 0;
}

// The first byte that a header value cannot hold: CR as a rule, or another control. `end` if there is none.
const char* find_value_end(const char* p, const char* end) {
#if defined(__SSE2__)
  const __m128i last_control = _mm_set1_epi8(0x1F);
  for (; end - p >= 16; p += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
    const __m128i tab = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t'));
    const __m128i del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7F));
    const int found = _mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, control), del));
    if (found != 0) return p + std::countr_zero(static_cast<unsigned>(found));
  }
#endif
  while (p != end && (class_of(*p) & kValue) != 0) ++p;
  return p;
}

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool starts_ignore_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && equals_ignore_case(text.substr(0, prefix.size()), prefix);
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool set(ParseError& error, int status, std::string_view reason) {
  error = {status, reason};
  return false;
}

bool parse_length(std::string_view text, std::uint64_t& length) {
  if (text.empty() || text.size() > 18) return false;
  length = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    length = length * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return true;
}

// Calls f(element) for each trimmed element of a comma-separated list.
template <class F>
void for_each_element(std::string_view list, F f) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    const std::string_view element = trim(list.substr(0, comma));
    if (!element.empty()) f(element);
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

// What is wrong with a line of which no name could be read.
bool bad_name(std::string_view line, ParseError& error) {
  if (line.starts_with(' ') || line.starts_with('\t'))
    return set(error, 400, "a header line is folded (obs-fold)");
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0)
    return set(error, 400, "a header line has no name or no colon");
  return set(error, 400, "a header name holds a space or another character that is not allowed");
}

bool add_field(Head& head, std::string_view name, std::string_view value, ParseError& error) {
  if (head.field_count == kMaxFields) return set(error, 431, "more than 100 header fields");
  const FieldId id = field_id(name);
  switch (id) {
    case FieldId::content_length:
      if (head.has_length) return set(error, 400, "two Content-Length fields");
      if (!parse_length(value, head.length))
        return set(error, 400, "Content-Length is not a plain decimal number");
      head.has_length = true;
      break;
    case FieldId::transfer_encoding:
      if (head.chunked) return set(error, 400, "two Transfer-Encoding fields");
      if (!equals_ignore_case(value, "chunked"))
        return set(error, 400, "Transfer-Encoding is not exactly chunked");
      head.chunked = true;
      break;
    case FieldId::connection:
      for_each_element(value, [&](std::string_view element) {
        if (equals_ignore_case(element, "close")) head.keep_alive = false;
        if (equals_ignore_case(element, "keep-alive") && !head.http11) head.keep_alive = true;
      });
      break;
    default:
      break;
  }
  head.fields[head.field_count++] = {name, value, id};
  head.present |= std::uint64_t{1} << static_cast<unsigned>(id);
  return true;
}

// Everything after the first line, in one pass. `rest` ends with the empty line, so each line has its CRLF.
bool parse_fields(std::string_view rest, Head& head, ParseError& error) {
  const char* p = rest.data();
  const char* const end = p + rest.size();
  while (end - p > 2) {
    const char* colon = p;
    while (colon != end && (class_of(*colon) & kToken) != 0) ++colon;
    const std::string_view line(p, static_cast<std::size_t>(end - p));
    if (colon == p || colon == end || *colon != ':')
      return bad_name(line.substr(0, line.find("\r\n")), error);
    const char* const value_end = find_value_end(colon + 1, end);
    if (end - value_end < 2 || value_end[0] != '\r' || value_end[1] != '\n')
      return set(error, 400, "a header value holds a control character");
    const std::string_view value(colon + 1, static_cast<std::size_t>(value_end - colon - 1));
    if (!add_field(head, {p, static_cast<std::size_t>(colon - p)}, trim(value), error)) return false;
    p = value_end + 2;
  }
  if (head.chunked && head.has_length)
    return set(error, 400, "Content-Length together with Transfer-Encoding");
  if (head.chunked && !head.http11) return set(error, 400, "Transfer-Encoding in an HTTP/1.0 message");
  return true;
}

void reset(Head& head, std::string_view bytes, bool http11) {
  head.field_count = 0;
  head.size = bytes.size();
  head.http11 = head.keep_alive = http11;
  head.chunked = head.has_length = false;
  head.length = head.present = 0;
}

std::uint64_t load_word(const char* p) {
  std::uint64_t word = 0;
  std::memcpy(&word, p, sizeof word);
  return word;
}

// Compares a name of the right length with a word in lower case, without regard to case. For letters, digits
// and '-' that is a matter of one bit, and of the other bytes that the bit makes equal none is allowed in a
// token.
template <std::size_t N>
bool is(std::string_view name, const char (&word)[N]) {
  constexpr std::size_t kSize = N - 1;
  constexpr std::uint64_t kCase = 0x2020202020202020;
  if constexpr (kSize >= 8) {
    std::uint64_t differ = 0;
    for (std::size_t i = 0; i + 8 <= kSize; i += 8)
      differ |= (load_word(name.data() + i) | kCase) ^ load_word(word + i);
    constexpr std::size_t kLast = kSize - 8;
    return (differ | ((load_word(name.data() + kLast) | kCase) ^ load_word(word + kLast))) == 0;
  } else {
    bool same = true;
    for (std::size_t i = 0; i < kSize; ++i) same = same && (name[i] | 0x20) == word[i];
    return same;
  }
}

}  // namespace

bool equals_ignore_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

FieldId field_id(std::string_view name) {
  switch (name.size()) {
    case 2:
      return is(name, "te") ? FieldId::te : FieldId::other;
    case 4:
      return is(name, "host") ? FieldId::host : is(name, "date") ? FieldId::date : FieldId::other;
    case 6:
      return is(name, "cookie")   ? FieldId::cookie
             : is(name, "expect") ? FieldId::expect
             : is(name, "server") ? FieldId::server
                                  : FieldId::other;
    case 7:
      if (is(name, "api-key")) return FieldId::api_key;
      if (is(name, "trailer")) return FieldId::trailer;
      if (is(name, "upgrade")) return FieldId::upgrade;
      if (is(name, "alt-svc")) return FieldId::alt_svc;
      break;
    case 9:
      if (is(name, "x-api-key")) return FieldId::x_api_key;
      if (is(name, "forwarded")) return FieldId::forwarded;
      break;
    case 10:
      if (is(name, "connection")) return FieldId::connection;
      if (is(name, "keep-alive")) return FieldId::keep_alive;
      if (is(name, "set-cookie")) return FieldId::set_cookie;
      break;
    case 11:
      if (is(name, "retry-after")) return FieldId::retry_after;
      break;
    case 12:
      if (is(name, "content-type")) return FieldId::content_type;
      if (is(name, "x-request-id")) return FieldId::x_request_id;
      break;
    case 13:
      if (is(name, "authorization")) return FieldId::authorization;
      break;
    case 14:
      if (is(name, "content-length")) return FieldId::content_length;
      if (is(name, "x-goog-api-key")) return FieldId::x_goog_api_key;
      if (is(name, "openai-project")) return FieldId::openai_project;
      break;
    case 15:
      if (is(name, "accept-encoding")) return FieldId::accept_encoding;
      break;
    case 16:
      if (is(name, "content-encoding")) return FieldId::content_encoding;
      break;
    case 17:
      if (is(name, "transfer-encoding")) return FieldId::transfer_encoding;
      break;
    case 19:
      if (is(name, "openai-organization")) return FieldId::openai_organization;
      break;
    default:
      break;
  }
  // Families by prefix. "proxy-connection" is one of them.
  if (name.size() >= 6 && is(name, "proxy-")) return FieldId::proxy;
  if (name.size() >= 2 && is(name, "x-")) {
    if (name.size() >= 11 && is(name, "x-tidegate-")) return FieldId::tidegate;
    if (name.size() >= 12 && is(name, "x-forwarded-")) return FieldId::x_forwarded;
    if (name.size() >= 12 && is(name, "x-ratelimit-")) return FieldId::x_ratelimit;
  }
  return FieldId::other;
}

std::string_view Head::find(FieldId id) const {
  if (!has(id)) return {};
  for (const Field& f : *this) {
    if (f.id == id) return f.value;
  }
  return {};
}

bool Head::named_in_connection(std::string_view name) const {
  if (!has(FieldId::connection)) return false;
  bool named = false;
  for (const Field& f : *this) {
    if (f.id != FieldId::connection) continue;
    for_each_element(f.value,
                     [&](std::string_view element) { named = named || equals_ignore_case(element, name); });
  }
  return named;
}

ParseStatus find_head_end(std::string_view bytes, std::size_t& scanned, std::size_t& end, ParseError& error) {
  // `scanned` stands at the start of an unfinished line.
  for (;;) {
    const std::string_view rest = bytes.substr(scanned);
    const void* lf = rest.empty() ? nullptr : std::memchr(rest.data(), '\n', rest.size());
    if (lf == nullptr) {
      if (bytes.size() > kMaxHead) {
        error = {431, "the request head is larger than 32 KiB"};
        return ParseStatus::error;
      }
      return ParseStatus::incomplete;
    }
    const auto at = static_cast<std::size_t>(static_cast<const char*>(lf) - rest.data());
    if (at == 0 || rest[at - 1] != '\r') {
      error = {400, "a line ends in a bare LF"};
      return ParseStatus::error;
    }
    const bool empty_line = at == 1;
    scanned += at + 1;
    if (scanned > kMaxHead) {
      error = {431, "the request head is larger than 32 KiB"};
      return ParseStatus::error;
    }
    if (empty_line) {
      end = scanned;
      return ParseStatus::complete;
    }
  }
}

bool parse_request_head(std::string_view bytes, RequestHead& head, ParseError& error) {
  const std::size_t line_end = bytes.find("\r\n");
  const std::string_view line = bytes.substr(0, line_end);
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last || first == 0)
    return set(error, 400, "the request line is malformed");
  head.method = line.substr(0, first);
  head.target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!all_of(head.method, kToken)) return set(error, 400, "the method is not a token");
  if (head.target.empty() || !all_of(head.target, kTarget))
    return set(error, 400, "the request target holds a character that is not allowed");
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    const bool known_form = version.size() == 8 && version.starts_with("HTTP/");
    return set(error, known_form ? 505 : 400, "the version is not HTTP/1.1 or HTTP/1.0");
  }
  reset(head, bytes, version == "HTTP/1.1");
  std::string_view local = head.target;
  if (local.front() != '/' &&
      (starts_ignore_case(local, "http://") || starts_ignore_case(local, "https://"))) {
    // Absolute form, which every server must take (RFC 9112 3.2.2). Who we are does not depend on the
    // authority.
    local.remove_prefix(local.find("//") + 2);
    const std::size_t slash = local.find_first_of("/?");
    local = slash == std::string_view::npos || local[slash] == '?' ? std::string_view{} : local.substr(slash);
    if (local.empty()) return set(error, 400, "the request target has no path");
  } else if (local.front() != '/' && local != "*") {
    return set(error, 400, "the request target does not begin with /");
  }
  const std::size_t mark = local.find('?');
  head.path = local.substr(0, mark);
  head.query = mark == std::string_view::npos ? std::string_view{} : local.substr(mark + 1);
  head.expect_continue = false;
  if (!parse_fields(bytes.substr(line_end + 2), head, error)) return false;

  int hosts = 0;
  for (const Field& f : head) {
    if (f.id == FieldId::host) {
      ++hosts;
      if (any_of(f.value, kNotHost)) return set(error, 400, "the Host field is malformed");
    } else if (f.id == FieldId::expect) {
      if (!equals_ignore_case(f.value, "100-continue"))
        return set(error, 417, "an expectation other than 100-continue");
      head.expect_continue = head.http11;
    }
  }
  if (hosts > 1) return set(error, 400, "two Host fields");
  if (hosts == 0 && head.http11) return set(error, 400, "no Host field");
  // A sender that names framing fields as hop-by-hop wants a front and a back end to disagree.
  if (head.named_in_connection("transfer-encoding") || head.named_in_connection("content-length") ||
      head.named_in_connection("host")) {
    return set(error, 400, "Connection names a field that frames or routes the message");
  }
  return true;
}

bool parse_response_head(std::string_view bytes, ResponseHead& head, ParseError& error) {
  const std::size_t line_end = bytes.find("\r\n");
  const std::string_view line = bytes.substr(0, line_end);
  if (line.size() < 12 || !(line.starts_with("HTTP/1.1 ") || line.starts_with("HTTP/1.0 "))) {
    return set(error, 502, "the status line is malformed");
  }
  head.status = 0;
  for (std::size_t i = 9; i < 12; ++i) {
    if (line[i] < '0' || line[i] > '9') return set(error, 502, "the status code is not a number");
    head.status = head.status * 10 + (line[i] - '0');
  }
  if (head.status < 100 || head.status > 599 || (line.size() > 12 && line[12] != ' '))
    return set(error, 502, "the status line is malformed");
  head.reason = line.size() > 13 ? line.substr(13) : std::string_view{};
  if (!head.reason.empty() && !all_of(head.reason, kValue))
    return set(error, 502, "the reason phrase holds a control character");
  reset(head, bytes, line[7] == '1');
  if (!parse_fields(bytes.substr(line_end + 2), head, error)) {
    error.status = 502;
    return false;
  }
  const bool no_body = head.status < 200 || head.status == 204 || head.status == 304;
  head.until_close = !no_body && !head.chunked && !head.has_length;
  if (no_body) {
    head.chunked = false;
    head.has_length = true;
    head.length = 0;
  }
  if (head.until_close) head.keep_alive = false;
  return true;
}

std::string_view status_text(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Status";
  }
}

}  // namespace tg::http
