// Tables, JSON and CSV of the usage reports.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/log.hpp"
#include "ledger/usage.hpp"

namespace tg::ledger {

namespace {

struct Cell {
  std::string name;   // column of CSV, field of JSON
  std::string title;  // column of the table; empty = not in the table
  std::string value;
  bool number = false;
};
using Row = std::vector<Cell>;

Cell text(std::string name, std::string title, std::string_view value) {
  return {std::move(name), std::move(title), std::string(value), false};
}
Cell number(std::string name, std::string title, std::int64_t value) {
  return {std::move(name), std::move(title), fmt::to_string(value), true};
}
Cell millis(std::string name, std::string title, std::int64_t ns) {
  return {std::move(name), std::move(title), fmt::format("{:.3f}", static_cast<double>(ns) / 1e6), true};
}

void append_sums(Row& row, const UsageSums& s) {
  row.push_back(number("requests", "requests", s.requests));
  row.push_back(number("reported_requests", "", s.reported_requests));
  row.push_back(number("estimated_requests", "", s.requests - s.reported_requests));
  row.push_back(number("reported_in", "in", s.reported_in));
  row.push_back(number("reported_cached", "cached", s.reported_cached));
  row.push_back(number("reported_out", "out", s.reported_out));
  row.push_back(number("estimated_in", "in (est.)", s.estimated_in));
  row.push_back(number("estimated_out", "out (est.)", s.estimated_out));
  const std::int64_t mean = s.requests > 0 ? s.total_ns / s.requests : 0;
  row.push_back(millis("mean_ms", "mean ms", mean));
  row.push_back(millis("total_ms", "", s.total_ns));
  row.push_back(millis("first_byte_ms", "", s.first_byte_ns));
  row.push_back(number("bytes_in", "", s.bytes_in));
  row.push_back(number("bytes_out", "", s.bytes_out));
  row.push_back(number("retries", "", s.retries));
}

Row usage_row(const std::vector<UsageBy>& by, const std::vector<std::string>& group, const UsageSums& sums) {
  Row row;
  for (std::size_t i = 0; i < by.size(); ++i) {
    const std::string name(usage_by_name(by[i]));
    row.push_back(text(name, name, group[i]));
  }
  append_sums(row, sums);
  return row;
}

Row request_row(const RequestRow& r) {
  const SettleBody& s = r.settle;
  Row row;
  row.push_back(text("time", "time", format_utc(s.utc_ns)));
  row.push_back(text("id", "id", request_id_text(s.id)));
  row.push_back(text("key", "key", r.key));
  row.push_back(text("tenant", "", r.tenant));
  row.push_back(text("route", "route", r.route));
  row.push_back(text("model", "", r.model));
  row.push_back(text("backend", "backend", r.backend));
  row.push_back(text("operation", "", r.operation));
  row.push_back(text("stream", "", s.stream != 0 ? "true" : "false"));
  row.back().number = true;
  row.push_back(number("status", "status", s.status));
  row.push_back(text("outcome", "outcome", r.running ? "running" : outcome_name(s.outcome)));
  row.push_back(text("reason", "", r.reason));
  row.push_back(text("usage", "usage", s.reported != 0 ? "reported" : "estimated"));
  row.push_back(number("tokens_in", "in", s.tokens_in));
  row.push_back(number("tokens_out", "out", s.tokens_out));
  row.push_back(number("tokens_cached", "", s.tokens_cached));
  row.push_back(millis("first_byte_ms", "first ms", s.first_byte_ns));
  row.push_back(millis("total_ms", "ms", s.total_ns));
  row.push_back(number("bytes_in", "", static_cast<std::int64_t>(s.bytes_in)));
  row.push_back(number("bytes_out", "", static_cast<std::int64_t>(s.bytes_out)));
  row.push_back(number("retries", "", s.retries));
  return row;
}

std::string json_of(const Row& row) {
  std::string out = "{";
  for (const Cell& c : row) {
    if (out.size() > 1) out += ",";
    append_json_string(out, c.name);
    out += ":";
    if (c.number) {
      out += c.value;
    } else {
      append_json_string(out, c.value);
    }
  }
  return out + "}";
}

std::string json_of(const std::vector<Row>& rows) {
  std::string out = "[";
  for (const Row& row : rows) out += (out.size() > 1 ? ",\n" : "\n") + json_of(row);
  return out + "]";
}

void append_csv(std::string& out, std::string_view value) {
  if (value.find_first_of(",\"\r\n") == std::string_view::npos) {
    out += value;
    return;
  }
  out += '"';
  for (const char c : value) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

// `columns`: a row of the same form, for the names when there are no rows.
std::string csv_of(const Row& columns, const std::vector<Row>& rows) {
  std::string out;
  for (const Cell& c : columns) {
    if (!out.empty()) out += ",";
    append_csv(out, c.name);
  }
  out += "\n";
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i > 0) out += ",";
      append_csv(out, row[i].value);
    }
    out += "\n";
  }
  return out;
}

// Display width: code points, which is right for all but wide scripts.
std::size_t width_of(std::string_view s) {
  return static_cast<std::size_t>(std::count_if(
      s.begin(), s.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string table_of(const Row& columns, const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    std::size_t width = width_of(columns[i].title);
    for (const Row& row : rows) width = std::max(width, std::max<std::size_t>(width_of(row[i].value), 1));
    widths.push_back(width);
  }
  std::string out;
  const auto line = [&](const Row& row, bool titles) {
    std::string text;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (columns[i].title.empty()) continue;
      std::string value = titles ? columns[i].title : row[i].value;
      if (value.empty()) value = "-";
      const std::string space(widths[i] - width_of(value), ' ');
      if (!text.empty()) text += "  ";
      text += columns[i].number ? space + value : value + space;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  };
  line(columns, true);
  for (const Row& row : rows) line(row, false);
  return out;
}

}  // namespace

std::string render(const UsageReport& report, UsageFormat format) {
  std::vector<Row> rows;
  std::transform(report.rows.begin(), report.rows.end(), std::back_inserter(rows),
                 [&](const UsageRow& r) { return usage_row(report.by, r.group, r.sums); });
  std::vector<std::string> names(report.by.size());
  if (!names.empty()) names.front() = "total";
  const Row total = usage_row(report.by, names, report.total);
  if (format == UsageFormat::csv) {
    if (report.by.empty()) rows.push_back(total);
    return csv_of(total, rows);  // no line of totals: it would be added up with the others
  }
  if (format == UsageFormat::json) {
    Row sums;
    append_sums(sums, report.total);
    return "{\"rows\":" + json_of(rows) + ",\n\"total\":" + json_of(sums) + "}\n";
  }
  rows.push_back(total);
  return table_of(total, rows);
}

std::string render(const RequestReport& report, UsageFormat format) {
  std::vector<Row> rows;
  std::transform(report.rows.begin(), report.rows.end(), std::back_inserter(rows), request_row);
  const Row columns = request_row({});
  if (format == UsageFormat::csv) return csv_of(columns, rows);
  if (format == UsageFormat::json) {
    return fmt::format("{{\"requests\":{},\n\"more\":{},\"unreadable_segments\":{}}}\n", json_of(rows),
                       report.more ? "true" : "false", report.unreadable_segments);
  }
  std::string out = table_of(columns, rows);
  if (report.more) out += "older requests are left out: narrow the time or raise the limit\n";
  if (report.unreadable_segments > 0)
    out += fmt::format("{} journal segments are partly unreadable\n", report.unreadable_segments);
  return out;
}

}  // namespace tg::ledger
