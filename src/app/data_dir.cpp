#include "app/data_dir.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>

#include "base/files.hpp"

namespace tg::app {

namespace {

constexpr std::array<const char*, 8> kFolders = {"journal", "spool", "state",        "run",
                                                 "logs",    "cache", "cache/sha256", "documents"};

Result<std::string> absolute(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (path.starts_with('/')) return path;
  std::array<char, PATH_MAX> here{};
  if (::getcwd(here.data(), here.size()) == nullptr)
    return fail_errno("cannot_read", "the current directory", errno);
  return fmt::format("{}/{}", here.data(), path);
}

// The pid that the holder wrote; empty if it has not yet.
std::string holder(int fd) {
  std::array<char, 32> text{};
  const ssize_t n = ::pread(fd, text.data(), text.size() - 1, 0);
  std::string pid(text.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
  while (!pid.empty() && (pid.back() < '0' || pid.back() > '9')) pid.pop_back();
  return pid;
}

Result<> check_version(const std::string& path, DataDir::Make make) {
  const std::string file = path + "/VERSION";
  const auto text = read_file(file, 64);
  if (!text) {
    if (::access(file.c_str(), F_OK) == 0) return std::unexpected(text.error());
    if (make == DataDir::Make::no) return {};
    return replace_file(file, fmt::format("{}\n", kDataVersion));
  }
  int version = 0;
  const auto [end, bad] = std::from_chars(text->data(), text->data() + text->size(), version);
  if (bad != std::errc() || version < 1) {
    return fail("data_dir_newer", fmt::format("{} does not hold a version number", file),
                "use another directory with --data");
  }
  if (version > kDataVersion) {
    return fail("data_dir_newer",
                fmt::format("{} says {}; this tidegate knows versions up to {}", file, version, kDataVersion),
                "use the newer tidegate, or another directory with --data");
  }
  return {};
}

}  // namespace

Environment process_environment() {
  return [](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
}

Result<std::string> data_dir_path(std::string_view flag, const Environment& environment) {
  if (!flag.empty()) return absolute(std::string(flag));
  // The XDG specification: a relative path in XDG_DATA_HOME is to be ignored.
  if (const auto xdg = environment("XDG_DATA_HOME"); xdg && xdg->starts_with('/'))
    return absolute(*xdg + "/tidegate");
  if (const auto home = environment("HOME"); home && !home->empty())
    return absolute(*home + "/.local/share/tidegate");
  return std::string("/var/lib/tidegate");
}

Result<DataDir> DataDir::open(const std::string& path, Make make) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    if (make == Make::no) {
      return fail("no_data_dir", fmt::format("there is no data directory {}", path),
                  fmt::format("tidegate up --data {} makes it", path));
    }
    if (auto r = make_directories(path); !r)
      return std::unexpected(std::move(r.error()).context("cannot make the data directory"));
  } else if (!S_ISDIR(info.st_mode)) {
    return fail("not_a_directory", fmt::format("the data directory {} is not a directory", path),
                "name another one with --data");
  } else if ((info.st_mode & 077) != 0 && info.st_uid == ::geteuid() && ::chmod(path.c_str(), 0700) != 0) {
    return fail_errno("cannot_create", path, errno);
  }

  const std::string lock_path = path + "/lock";
  Fd lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock) return fail_errno("cannot_write", lock_path, errno);
  while (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return fail_errno("cannot_write", lock_path, errno);
    const std::string pid = holder(lock.get());
    return fail("data_dir_in_use",
                fmt::format("the data directory {} is in use by {}", path,
                            pid.empty() ? "another tidegate" : fmt::format("tidegate with pid {}", pid)),
                "name another directory with --data, or stop that one first");
  }
  if (auto r = check_version(path, make); !r) return std::unexpected(r.error());
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(lock.get(), 0) != 0 ||
      ::pwrite(lock.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return fail_errno("cannot_write", lock_path, errno);
  }
  if (make == Make::yes) {
    for (const char* folder : kFolders) {
      const std::string full = fmt::format("{}/{}", path, folder);
      if (::mkdir(full.c_str(), 0700) != 0 && errno != EEXIST)
        return fail_errno("cannot_create", full, errno);
    }
  }
  return DataDir(path, std::move(lock));
}

}  // namespace tg::app
