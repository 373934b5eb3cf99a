// Errors to clients in OpenAI's shape. The text names the caller's own numbers only: no replica, address,
// path or other tenant.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.hpp"

namespace tg::gateway {

struct ApiError {
  int status = 500;
  std::string_view type =
      "server_error";     // invalid_request_error, authentication_error, rate_limit_error, server_error …
  std::string code = {};  // reason code
  std::string message = {};
  std::string_view param = {};  // the field at fault; empty = null
  Nanos retry_after = 0;        // > 0: Retry-After and retry-after-ms
  bool never_retry = false;     // x-should-retry: false
};

// {"error":{"message","type","param","code"}} and a line feed. `with_status`: the form used inside a
// committed stream.
std::string error_body(const ApiError& error, bool with_status = false);
// "data: {…}\n\n"
std::string error_event(const ApiError& error, bool with_status);
// content-type and the retry headers, each line with CRLF.
std::string error_headers(const ApiError& error);

// The first `most` bytes of a text of valid UTF-8, less the character that the bound would cut in two.
std::string_view cut_utf8(std::string_view text, std::size_t most);
// The beginning of what an upstream said, for a message: 200 bytes, and a space for each byte that is not
// printable ASCII, whatever its encoding may be.
std::string snippet_of(std::string_view body);

// The type that goes with a status of ours.
std::string_view error_type(int status);

}  // namespace tg::gateway
