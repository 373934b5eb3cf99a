// Names to addresses by getaddrinfo on a helper thread, answers delivered on the asking loop. Results are
// kept 30 s; the system's resolver and hosts file decide. One Resolver serves all loops.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/loop.hpp"
#include "net/socket.hpp"

namespace tg::net {

class Resolver {
 public:
  Resolver();
  ~Resolver();  // waits for a running look-up; queued ones are dropped
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  using Callback = std::function<void(const Result<std::vector<Address>>&)>;
  // Numeric hosts and fresh results call back at once, from inside this call.
  void resolve(Loop& loop, const std::string& host, std::uint16_t port, Callback callback);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace tg::net
