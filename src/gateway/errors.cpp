#include "gateway/errors.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.hpp"

namespace tg::gateway {

std::string error_body(const ApiError& error, bool with_status) {
  std::string out = "{\"error\":{\"message\":";
  append_json_string(out, error.message);
  out += ",\"type\":";
  append_json_string(out, error.type);
  out += ",\"param\":";
  if (error.param.empty()) {
    out += "null";
  } else {
    append_json_string(out, error.param);
  }
  out += ",\"code\":";
  append_json_string(out, error.code);
  if (with_status) out += fmt::format(",\"status\":{}", error.status);
  out += "}}";
  return out;
}

std::string error_event(const ApiError& error, bool with_status) {
  return "data: " + error_body(error, with_status) + "\n\n";
}

std::string error_headers(const ApiError& error) {
  std::string out = "content-type: application/json\r\n";
  if (error.retry_after > 0) {
    // SDKs ignore or wait unpredictably beyond 60 s: those are told not to retry by themselves.
    const Nanos seconds = std::max<Nanos>(1, (error.retry_after + kSecond - 1) / kSecond);
    out += fmt::format("retry-after: {}\r\n", seconds);
    if (seconds <= 60) {
      out += fmt::format("retry-after-ms: {}\r\n", (error.retry_after + kMillisecond - 1) / kMillisecond);
    } else {
      out += "x-should-retry: false\r\n";
    }
  } else if (error.never_retry) {
    out += "x-should-retry: false\r\n";
  }
  return out;
}

std::string_view cut_utf8(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
  return text.substr(0, most);
}

std::string snippet_of(std::string_view body) {
  std::string text(body.substr(0, 200));
  std::ranges::replace_if(text, [](char c) { return c < 0x20 || c > 0x7E; }, ' ');
  return text;
}

std::string_view error_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 429:
      return "rate_limit_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

}  // namespace tg::gateway
