#include "runtime/log_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>
#include <utility>

namespace tg::runtime {

namespace {

constexpr std::size_t kEnd =
    15;  // lines: what llama-server prints of a file that it cannot load is 12 of them

bool speaks_of_error(const std::string& line) {
  static constexpr std::array<std::string_view, 11> kWords = {
      "error",  "fail",    "cannot", "unable",    "invalid",      "no such",
      "denied", "refused", "abort",  "terminate", "out of memory"};
  std::string low = line;
  std::ranges::transform(low, low.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return std::ranges::any_of(kWords, [&](std::string_view word) { return low.contains(word); });
}

}  // namespace

LogFile::LogFile(std::string path, std::uint64_t limit) : path_(std::move(path)), limit_(limit) { open(); }

void LogFile::open() {
  fd_.reset(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
  struct stat info{};
  size_ = fd_ && ::fstat(fd_.get(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

void LogFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    if (size_ >= limit_) {
      ::rename(path_.c_str(), (path_ + ".1").c_str());
      open();
    }
    if (!fd_) return;
    const std::size_t part = std::min<std::uint64_t>(bytes.size(), limit_ > size_ ? limit_ - size_ : 1);
    const ssize_t n = ::write(fd_.get(), bytes.data(), part);
    if (n <= 0) return;  // full disk: the rest is dropped
    size_ += static_cast<std::uint64_t>(n);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

std::vector<std::string> last_lines(const std::string& path, std::size_t count) {
  std::vector<std::string> lines;
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info{};
  if (!fd || ::fstat(fd.get(), &info) != 0) return lines;
  constexpr off_t kTail = 8192;
  const off_t from = std::max<off_t>(0, info.st_size - kTail);
  std::string text(static_cast<std::size_t>(info.st_size - from), '\0');
  const ssize_t n = ::pread(fd.get(), text.data(), text.size(), from);
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  std::string_view rest = text;
  while (!rest.empty() && lines.size() < count) {
    const std::size_t end = rest.find_last_of('\n');
    const std::string_view line = end == std::string_view::npos ? rest : rest.substr(end + 1);
    if (!line.empty()) {
      std::string clean(line.substr(0, 300));
      std::ranges::replace_if(
          clean, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
      lines.insert(lines.begin(), std::move(clean));
    }
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(0, end);
  }
  return lines;
}

std::vector<std::string> last_words(const std::string& path) {
  std::vector<std::string> lines = last_lines(path, kEnd);
  std::vector<std::string> words;
  for (std::size_t i = 0; i + 1 < lines.size() && words.size() < 2; ++i) {
    if (speaks_of_error(lines[i])) words.push_back(lines[i]);
  }
  if (words.empty()) return last_lines(path, 3);
  words.push_back(lines.back());
  return words;
}

}  // namespace tg::runtime
