// Errors are values. Every fallible function returns Result<T>; exceptions are caught where a library throws
// them.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace tg {

// `code` is a stable reason code in snake_case (tests, metrics and `tidegate explain CODE` name it),
// `message` says what failed with its values, `hint` (may be empty) is one thing the user can do about it.
struct Error {
  std::string code;
  std::string message;
  std::string hint;

  // Puts the place or the step in front: "cannot read models.yaml: permission denied".
  Error context(std::string_view prefix) && {
    message = std::string(prefix) + ": " + message;
    return std::move(*this);
  }
};

template <class T = void>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(std::string_view code, std::string message, std::string hint = {}) {
  return std::unexpected(Error{std::string(code), std::move(message), std::move(hint)});
}

// An error from errno: "WHAT: No such file or directory".
std::unexpected<Error> fail_errno(std::string_view code, std::string_view what, int err);

}  // namespace tg
