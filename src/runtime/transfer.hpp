// One HTTP transfer by libcurl, which is opened at first use (dlopen), so that a gateway that never downloads
// does not carry its thirty libraries. Blocking: on a download's thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace tg::runtime {

struct TransferRequest {
  std::string url;
  bool head = false;                 // HEAD: no body
  bool follow = true;                // redirects; from https only to https
  std::vector<std::string> headers;  // "Name: value"; Authorization is not carried to another host
  std::int64_t low_speed_s = 60;     // slower than 1 KiB/s for this long is a failure
};

struct TransferAnswer {
  int status = 0;                              // of the last response
  std::map<std::string, std::string> headers;  // of the last response, names in lower case
};

// Called once per transfer when the last head is complete, then with each piece of its body. False ends the
// transfer.
struct TransferSink {
  std::function<bool(const TransferAnswer&)> head;
  std::function<bool(std::string_view)> data;
};

// Errors: `network` (no route, no name, cut, too slow: worth another try), `tls` (certificate), `stopped` (by
// the token), `refused_by_sink`, `curl_missing` (no libcurl.so.4 on this machine). A status ≥ 400 is an
// answer, no error.
Result<TransferAnswer> transfer(const TransferRequest& request, const TransferSink& sink,
                                std::stop_token stop);

}  // namespace tg::runtime
