#include "ledger/usage.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

#include "base/clock.hpp"
#include "base/units.hpp"
#include "ledger/database.hpp"

namespace tg::ledger {

namespace {

struct Dimension {
  UsageBy by;
  std::string_view name;
  std::string_view sql;
};

constexpr std::array<Dimension, 8> kDimensions = {{
    {UsageBy::key, "key",
     "CASE WHEN k.id IS NULL THEN '' WHEN k.name='' THEN k.prefix ELSE k.name || ' (' || k.prefix || ')' "
     "END"},
    {UsageBy::tenant, "tenant", "coalesce(t.name,'')"},
    {UsageBy::model, "model", "coalesce(m.name,'')"},
    {UsageBy::route, "route", "coalesce(r.name,'')"},
    {UsageBy::outcome, "outcome", "s.outcome"},
    {UsageBy::day, "day", "strftime('%Y-%m-%d', s.minute*60, 'unixepoch')"},
    {UsageBy::hour, "hour", "strftime('%Y-%m-%dT%H:00Z', s.minute*60, 'unixepoch')"},
    {UsageBy::minute, "minute", "strftime('%Y-%m-%dT%H:%MZ', s.minute*60, 'unixepoch')"},
}};

const Dimension& dimension(UsageBy by) {
  return *std::find_if(kDimensions.begin(), kDimensions.end(),
                       [&](const Dimension& d) { return d.by == by; });
}

void add(UsageSums& to, const UsageSums& s) {
  to.requests += s.requests;
  to.reported_requests += s.reported_requests;
  to.reported_in += s.reported_in;
  to.reported_out += s.reported_out;
  to.reported_cached += s.reported_cached;
  to.estimated_in += s.estimated_in;
  to.estimated_out += s.estimated_out;
  to.first_byte_ns += s.first_byte_ns;
  to.total_ns += s.total_ns;
  to.bytes_in += s.bytes_in;
  to.bytes_out += s.bytes_out;
  to.retries += s.retries;
}

// Two keys of one name (one revoked) show the same text only if their prefixes are equal too; grouping is by
// number.
std::string usage_sql(const std::vector<UsageBy>& by) {
  std::string columns;
  std::string groups;
  std::string order;
  for (std::size_t i = 0; i < by.size(); ++i) {
    columns += std::string(dimension(by[i]).sql) + ", ";
    groups += by[i] == UsageBy::key ? "s.key, " : "";
    groups += fmt::format("{}{}", i + 1, i + 1 < by.size() ? ", " : "");
    order += fmt::format("{}{}", i + 1, i + 1 < by.size() ? ", " : "");
  }
  std::string sql =
      "SELECT " + columns +
      "sum(s.requests), sum(s.reported_requests), sum(s.reported_in), sum(s.reported_out), "
      "sum(s.reported_cached), sum(s.estimated_in), sum(s.estimated_out), sum(s.first_byte_ns), "
      "sum(s.total_ns), sum(s.bytes_in), sum(s.bytes_out), sum(s.retries) FROM rollups s "
      "LEFT JOIN keys k ON k.id=s.key LEFT JOIN names t ON t.id=s.tenant LEFT JOIN names m ON m.id=s.model "
      "LEFT JOIN names r ON r.id=s.route WHERE s.minute>=? AND s.minute<?";
  if (!by.empty()) sql += " GROUP BY " + groups + " ORDER BY " + order;
  return sql;
}

std::int64_t floor_minute(std::int64_t utc_ns) { return utc_ns / kMinute; }

bool digits(std::string_view text, int& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() &&
         text.find_first_of("+-") == std::string_view::npos;
}

// YYYY-MM-DD[THH:MM[:SS]][Z]
bool parse_date(std::string_view text, std::int64_t& utc_ns) {
  if (text.ends_with('Z')) text.remove_suffix(1);
  if (text.size() != 10 && text.size() != 16 && text.size() != 19) return false;
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (text[4] != '-' || text[7] != '-' || !digits(text.substr(0, 4), year) ||
      !digits(text.substr(5, 2), month) || !digits(text.substr(8, 2), day)) {
    return false;
  }
  if (text.size() > 10 && ((text[10] != 'T' && text[10] != ' ') || text[13] != ':' ||
                           !digits(text.substr(11, 2), hour) || !digits(text.substr(14, 2), minute))) {
    return false;
  }
  if (text.size() > 16 && (text[16] != ':' || !digits(text.substr(17, 2), second))) return false;
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  // The range of years keeps the nanoseconds within 64 bits.
  if (!date.ok() || year < 1970 || year > 2200 || hour > 23 || minute > 59 || second > 60) return false;
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  utc_ns = ((static_cast<std::int64_t>(days) * 24 + hour) * 60 + minute) * kMinute + second * kSecond;
  return true;
}

}  // namespace

std::string_view usage_by_name(UsageBy by) { return dimension(by).name; }

Result<std::vector<UsageBy>> parse_usage_by(std::string_view text) {
  std::vector<UsageBy> by;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view word = text.substr(0, comma);
    const auto* it = std::find_if(kDimensions.begin(), kDimensions.end(),
                                  [&](const Dimension& d) { return d.name == word; });
    if (it == kDimensions.end()) {
      std::string known;
      for (const Dimension& d : kDimensions) known += (known.empty() ? "" : ", ") + std::string(d.name);
      return fail("usage_by_unknown", fmt::format("usage cannot be grouped by \"{}\"", word),
                  "use one or more, with commas between, of: " + known);
    }
    if (std::find(by.begin(), by.end(), it->by) == by.end()) by.push_back(it->by);
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
  }
  return by;
}

Result<std::int64_t> parse_time(std::string_view text, std::int64_t now_utc_ns) {
  std::int64_t utc_ns = 0;
  if (parse_date(text, utc_ns)) return utc_ns;
  if (const auto ago = parse_duration(text)) return now_utc_ns - *ago;
  return fail("time_invalid", fmt::format("\"{}\" is not a time", text),
              "write a UTC date or time such as 2026-11-21 or 2026-11-21T10:15, or a duration back from now "
              "such as 24h");
}

Result<UsageReport> query_usage(const std::string& dir, const std::vector<UsageBy>& by,
                                const TimeRange& range) {
  UsageReport report;
  report.by = by;
  if (::access(database_path(dir).c_str(), F_OK) != 0) return report;
  auto db = Database::open(dir, Database::Mode::read, false);
  if (!db) return std::unexpected(db.error());
  auto query = db->prepare(usage_sql(by));
  if (!query) return std::unexpected(query.error());
  query->bind(1, floor_minute(range.from_utc_ns)).bind(2, floor_minute(range.to_utc_ns));
  for (;;) {
    auto row = query->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return report;
    UsageRow out;
    int column = 0;
    for (const UsageBy b : by) {
      out.group.emplace_back(b == UsageBy::outcome
                                 ? outcome_name(static_cast<Outcome>(query->integer(column)))
                                 : query->text(column));
      ++column;
    }
    for (std::int64_t* value :
         {&out.sums.requests, &out.sums.reported_requests, &out.sums.reported_in, &out.sums.reported_out,
          &out.sums.reported_cached, &out.sums.estimated_in, &out.sums.estimated_out, &out.sums.first_byte_ns,
          &out.sums.total_ns, &out.sums.bytes_in, &out.sums.bytes_out, &out.sums.retries}) {
      *value = query->integer(column++);
    }
    add(report.total, out.sums);
    if (!by.empty()) report.rows.push_back(std::move(out));
  }
}

}  // namespace tg::ledger
