// Part of an engine's log file: its last lines, or what was added after an offset. Pure but for reading the
// file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.hpp"

namespace tg::admin {

struct LogPart {
  std::string text;
  std::int64_t next = 0;  // offset to ask for next
};

// At most this much in one answer: the caller's thread must not read for long.
inline constexpr std::int64_t kMaxLogPart = 256 << 10;

// `after`: from this offset on; a file that is shorter was rotated, so from its start. Else the last `lines`
// lines. A file that is not there is empty.
Result<LogPart> read_log_part(const std::string& path, std::int64_t lines, std::optional<std::int64_t> after);

}  // namespace tg::admin
