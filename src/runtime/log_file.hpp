// An engine's output on disk: one file of at most `limit` bytes and the one before it (PATH.1). And its last
// lines, for the reason of a failed start.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.hpp"

namespace tg::runtime {

class LogFile {
 public:
  // Opens for appending (0600). An unwritable path is no error: output is then dropped, the engine goes on.
  LogFile(std::string path, std::uint64_t limit);
  void write(std::string_view bytes);

 private:
  void open();
  std::string path_;
  std::uint64_t limit_;
  std::uint64_t size_ = 0;
  Fd fd_;
};

// At most `count` last non-empty lines, oldest first, each cut to 300 bytes; control characters become '?'.
std::vector<std::string> last_lines(const std::string& path, std::size_t count);

// At most three lines of the end of a log that say best why its program ended, oldest first: the first two
// that speak of an error, for programs report a cause before its consequences, and the last line; without
// such lines the last three.
std::vector<std::string> last_words(const std::string& path);

}  // namespace tg::runtime
