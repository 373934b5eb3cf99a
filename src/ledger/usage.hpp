// Answers to "who used what": sums from the rollups, single requests from the journal's segments. Reads only,
// by its own read-only connection, so it works in the running program (after LedgerWriter::flush()), in a
// second process, and when nothing runs (after recover_ledger()). Days, hours and minutes are UTC. May take
// long: not on a worker's thread.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "ledger/record.hpp"

namespace tg::ledger {

enum class UsageBy { key, tenant, model, route, outcome, day, hour, minute };
std::string_view usage_by_name(UsageBy by);
// "key,model,day". Errors: usage_by_unknown, with the words there are.
Result<std::vector<UsageBy>> parse_usage_by(std::string_view text);

// Half-open range [from, to) in UTC nanoseconds; sums are whole minutes, so both ends are rounded down to the
// minute.
struct TimeRange {
  std::int64_t from_utc_ns = 0;
  std::int64_t to_utc_ns = std::numeric_limits<std::int64_t>::max();
};
// "2026-11-21", "2026-11-21T10:15", "2026-11-21T10:15:30Z" (UTC), or a duration before `now_utc_ns`: "24h",
// "7d". Errors: time_invalid.
Result<std::int64_t> parse_time(std::string_view text, std::int64_t now_utc_ns);

// Reported (by upstream) and estimated tokens are never added to one another.
struct UsageSums {
  std::int64_t requests = 0;
  std::int64_t reported_requests = 0;  // of `requests`; the others are estimated
  std::int64_t reported_in = 0, reported_out = 0, reported_cached = 0;
  std::int64_t estimated_in = 0, estimated_out = 0;
  std::int64_t first_byte_ns = 0, total_ns = 0;  // sums over the requests
  std::int64_t bytes_in = 0, bytes_out = 0;
  std::int64_t retries = 0;
};

struct UsageRow {
  std::vector<std::string>
      group;  // one text per UsageBy; a key is "name (tg-abcde)", or its prefix, or empty
  UsageSums sums;
};

struct UsageReport {
  std::vector<UsageBy> by;
  std::vector<UsageRow> rows;  // sorted by their group
  UsageSums total;
};

// Errors: database_*; a directory without a database is an empty report.
Result<UsageReport> query_usage(const std::string& dir, const std::vector<UsageBy>& by,
                                const TimeRange& range);

struct RequestRow {
  SettleBody settle;     // its name numbers mean nothing here; of a running request: what its begin says
  bool running = false;  // begun in the run that is still alive
  std::string key, tenant, model, route, backend, operation, reason;
};

struct RequestQuery {
  TimeRange range = {};
  std::size_t limit = 1000;    // the latest so many
  std::uint64_t live_run = 0;  // LedgerWriter::run(); 0 = none runs
};

struct RequestReport {
  std::vector<RequestRow> rows;  // by time of their end (running, interrupted: of their begin)
  std::size_t unreadable_segments = 0;
  bool more = false;  // the limit left out older ones
};
Result<RequestReport> query_requests(const std::string& dir, const RequestQuery& query);

enum class UsageFormat { table, json, csv };
std::string render(const UsageReport& report, UsageFormat format);
std::string render(const RequestReport& report, UsageFormat format);

}  // namespace tg::ledger
