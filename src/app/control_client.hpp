// A small blocking HTTP client for the control socket of the running tidegate. One request per connection.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "admin/api.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"

namespace tg::app {

class ControlClient {
 public:
  explicit ControlClient(std::string socket_path) : path_(std::move(socket_path)) {}

  // True: somebody accepts connections there.
  bool running() const;
  // Errors: not_running (nobody there), control_failed (the connection broke, or the answer is none).
  // `on_slow` is called once when the answer takes more than a second; after `timeout` the call gives up
  // (control_timeout).
  Result<admin::Response> call(std::string_view method, std::string_view target, std::string_view body,
                               const std::function<void()>& on_slow = {}, Nanos timeout = 30 * kSecond) const;

 private:
  std::string path_;
};

}  // namespace tg::app
