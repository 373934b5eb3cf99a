// Whole small files: read with a bound, replace atomically.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace tg {

// Reads at most `limit` bytes; a larger file is an error.
Result<std::string> read_file(const std::string& path, std::uint64_t limit = 64 << 20);
// Writes PATH.tmp-PID with `mode`, syncs it and renames it over PATH: a reader sees the old file or the new,
// never half.
Result<> replace_file(const std::string& path, std::string_view content, unsigned mode = 0600);
// mkdir -p with 0700 for what it creates.
Result<> make_directories(const std::string& path);

}  // namespace tg
