// All of standard input.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"

namespace tg::app {

// At most 64 MiB. From a terminal it is refused (missing_argument), so that no word hangs: `what` names what
// was expected.
Result<std::string> read_stdin(std::string_view what);

}  // namespace tg::app
