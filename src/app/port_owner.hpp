// Who listens on a local TCP port, for the message that it is taken.
#pragma once

#include <cstdint>
#include <string>

namespace tg::app {

// " by process 1234 (nginx)", or empty if that cannot be seen (another user's process).
std::string port_owner(std::uint16_t port);

}  // namespace tg::app
