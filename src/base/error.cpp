#include "base/error.hpp"

#include <system_error>

namespace tg {

std::unexpected<Error> fail_errno(std::string_view code, std::string_view what, int err) {
  return fail(code, std::string(what) + ": " + std::generic_category().message(err));
}

}  // namespace tg
