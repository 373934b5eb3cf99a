// DIR/logs/access.log: one JSON line per settled request, written in batches, rotated by size. Writer thread
// only. After a crash the log is cut back to the mark of the last commit, so that replayed records do not
// stand in it twice.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "ledger/record.hpp"
#include "ledger/rollup.hpp"

namespace tg::ledger {

// A name and the same as a JSON string with quotes.
struct LogName {
  std::string text;
  std::string json = "\"\"";
  NameNumber number = 0;
};

struct SettleNames {
  const LogName *tenant, *model, *route, *backend, *operation, *reason;
  bool operator==(const SettleNames&) const = default;
};

class AccessLog {
 public:
  struct Options {
    std::uint64_t bytes = 64 << 20;  // a longer file is renamed to access.log.1, that one to .2 …
    int keep = 5;                    // renamed files kept
  };

  // Opens or creates the file and cuts it back to `mark`.
  static Result<AccessLog> open(const std::string& dir, Options options, AccessLogMark mark);

  void append(const SettleBody& settle, const SettleNames& names);
  // Writes what was appended; rotates; opens the file anew if somebody moved it away. On an error the lines
  // are dropped and counted: the journal has the records.
  Result<> flush();
  AccessLogMark mark() const { return {inode_, size_}; }
  std::uint64_t dropped_lines() const { return dropped_; }

 private:
  AccessLog() = default;
  Result<> reopen();
  Result<> rotate();
  void describe(const SettleBody& settle, const SettleNames& names);

  std::string path_;
  Options options_;
  Fd fd_;
  std::int64_t inode_ = 0;
  std::int64_t size_ = 0;
  std::vector<char> buffer_;
  std::size_t used_ = 0;     // of buffer_
  std::uint64_t lines_ = 0;  // in buffer_
  std::uint64_t dropped_ = 0;
  std::int64_t second_ = -1;  // of second_text_
  std::string second_text_;   // "2026-11-21T10:11:12."
  // The middle of a line, from "key" to "usage", is the same for most requests of the same kind: kept from
  // the last one.
  struct Kind {
    SettleNames names{};
    std::int64_t key = -1;
    std::uint16_t status = 0;
    Outcome outcome{};
    std::uint8_t stream = 0, reported = 0;
    bool operator==(const Kind&) const = default;
  };
  Kind kind_;
  std::string kind_text_;
};

}  // namespace tg::ledger
