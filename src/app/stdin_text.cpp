#include "app/stdin_text.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace tg::app {

Result<std::string> read_stdin(std::string_view what) {
  constexpr std::size_t kLimit = 64 << 20;
  if (::isatty(0) == 1) {
    return fail("missing_argument",
                fmt::format("'-' reads {} from standard input, which is a terminal", what),
                "put a file or a pipe there: ... - < FILE");
  }
  std::string text;
  std::array<char, 65536> buffer;  // NOLINT: filled by read
  for (;;) {
    const ssize_t n = ::read(0, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("cannot_read", "standard input", errno);
    if (n == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(n));
    if (text.size() > kLimit)
      return fail("file_too_large", fmt::format("standard input: larger than {} bytes", kLimit));
  }
}

}  // namespace tg::app
