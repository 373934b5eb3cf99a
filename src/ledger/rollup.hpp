// Sums of settled requests per UTC minute × key × tenant × model × route × outcome: gathered in memory, then
// added to the table `rollups` in the same transaction that moves the journal positions. So the sums are
// exact whatever the moment of a crash: a record is in both or in neither. Writer thread only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.hpp"
#include "ledger/database.hpp"
#include "ledger/record.hpp"

namespace tg::ledger {

// Where the writer stands in one worker's journal. Records before `at` are in the sums. Begin records from
// `open` on may lack their settle (open == at: none does).
struct Position {
  Ticket at = 0;
  Ticket open = 0;
};

// How much of the access log belongs to what is in the sums.
struct AccessLogMark {
  std::int64_t inode = 0;
  std::int64_t size = 0;
};

// A name's number in the database; the same name has the same number for ever.
using NameNumber = std::int64_t;

class Rollups {
 public:
  static Result<Rollups> open(const std::string& dir);

  const std::unordered_map<std::uint32_t, Position>& positions() const { return positions_; }
  AccessLogMark access_log() const { return access_log_; }

  NameNumber number_of(std::string_view name);
  void add(const SettleBody& settle, NameNumber tenant, NameNumber model, NameNumber route);
  std::size_t rows() const { return sums_.size(); }

  // One transaction. On an error nothing of it happened and the sums are kept for the next try.
  Result<> commit(const std::vector<std::pair<std::uint32_t, Position>>& positions, AccessLogMark mark);

  // Joins what is stored of each UTC day that ended before `before_utc_ns` into rows of that day's first
  // minute. Sums over days stay as they are; hours and minutes of those days can be told apart no more. One
  // transaction: on an error nothing of it happened. Costs a scan of those days' rows, once for each day.
  Result<> compact(std::int64_t before_utc_ns);

 private:
  struct Key {
    std::int64_t minute, key;
    NameNumber tenant, model, route;
    std::int64_t outcome;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& k) const noexcept {
      std::uint64_t h = 0;
      for (const std::int64_t v : {k.minute, k.key, k.tenant, k.model, k.route, k.outcome}) {
        h = (h ^ static_cast<std::uint64_t>(v)) * 0x9E3779B97F4A7C15;
        h ^= h >> 32;
      }
      return h;
    }
  };
  struct Sums {
    std::int64_t requests = 0, reported_requests = 0;
    std::int64_t reported_in = 0, reported_out = 0, reported_cached = 0;
    std::int64_t estimated_in = 0, estimated_out = 0;
    std::int64_t first_byte_ns = 0, total_ns = 0, bytes_in = 0, bytes_out = 0, retries = 0;
  };

  explicit Rollups(Database db) : db_(std::move(db)) {}
  Result<> load();
  Result<> write_names();
  Result<> write_sums();

  Database db_;
  Statement insert_name_, upsert_, insert_position_, insert_mark_;
  std::unordered_map<std::uint32_t, Position> positions_;
  AccessLogMark access_log_;
  std::unordered_map<std::string, NameNumber> names_;
  NameNumber last_name_ = 0;
  std::vector<std::pair<NameNumber, std::string>> new_names_;
  std::unordered_map<Key, Sums, KeyHash> sums_;
  std::int64_t compacted_before_ = 0;  // minute; days below it are joined already, as far as this run knows
  Sums* last_sums_ = nullptr;          // of last_key_: most requests fall into the row of the one before
  Key last_key_{};
};

}  // namespace tg::ledger
