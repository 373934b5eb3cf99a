#include "admin/log_tail.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/fd.hpp"

namespace tg::admin {

Result<LogPart> read_log_part(const std::string& path, std::int64_t lines,
                              std::optional<std::int64_t> after) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return LogPart{};
  if (!fd) return fail_errno("cannot_read", path, errno);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return fail_errno("cannot_read", path, errno);
  const std::int64_t size = info.st_size;

  std::int64_t from = std::max<std::int64_t>(0, size - kMaxLogPart);
  if (after) from = *after > size || *after < 0 ? 0 : *after;
  std::string text(static_cast<std::size_t>(std::min(size - from, kMaxLogPart)), '\0');
  std::size_t got = 0;
  while (got < text.size()) {
    const ssize_t n =
        ::pread(fd.get(), text.data() + got, text.size() - got, from + static_cast<std::int64_t>(got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("cannot_read", path, errno);
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
  }
  text.resize(got);
  LogPart part;
  part.next = from + static_cast<std::int64_t>(got);
  if (!after) {
    // Back over `lines` line ends; one at the very end ends the last line and is none of them.
    std::size_t start = text.size();
    if (start > 0 && text[start - 1] == '\n') --start;
    for (std::int64_t left = lines; start > 0; --start) {
      if (text[start - 1] == '\n' && --left == 0) break;
    }
    text.erase(0, lines > 0 ? start : text.size());
  }
  part.text = std::move(text);
  return part;
}

}  // namespace tg::admin
