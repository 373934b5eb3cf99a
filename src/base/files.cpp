#include "base/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/fd.hpp"

namespace tg {

Result<std::string> read_file(const std::string& path, std::uint64_t limit) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("cannot_read", path, errno);
  std::string content;
  char buffer[65536];
  for (;;) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n == 0) return content;
    if (n < 0) {
      if (errno == EINTR) continue;
      return fail_errno("cannot_read", path, errno);
    }
    content.append(buffer, static_cast<std::size_t>(n));
    if (content.size() > limit) {
      return fail("file_too_large", fmt::format("{}: larger than {} bytes", path, limit));
    }
  }
}

Result<> replace_file(const std::string& path, std::string_view content, unsigned mode) {
  const std::string temporary = fmt::format("{}.tmp-{}", path, ::getpid());
  Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!fd) return fail_errno("cannot_write", temporary, errno);
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t n = ::write(fd.get(), content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int err = errno;
      ::unlink(temporary.c_str());
      return fail_errno("cannot_write", temporary, err);
    }
    done += static_cast<std::size_t>(n);
  }
  if (::fsync(fd.get()) != 0 || ::rename(temporary.c_str(), path.c_str()) != 0) {
    const int err = errno;
    ::unlink(temporary.c_str());
    return fail_errno("cannot_write", path, err);
  }
  return {};
}

Result<> make_directories(const std::string& path) {
  std::string built;
  std::size_t at = 0;
  while (at <= path.size()) {
    const std::size_t slash = path.find('/', at);
    built = path.substr(0, slash);
    if (!built.empty() && ::mkdir(built.c_str(), 0700) != 0 && errno != EEXIST) {
      return fail_errno("cannot_create", built, errno);
    }
    if (slash == std::string::npos) break;
    at = slash + 1;
  }
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return fail("not_a_directory", fmt::format("{} is not a directory", path));
  }
  return {};
}

}  // namespace tg
