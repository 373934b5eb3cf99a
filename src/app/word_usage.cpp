// tidegate usage
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/admin_call.hpp"
#include "app/table.hpp"
#include "app/view.hpp"
#include "app/words.hpp"

namespace tg::app {

namespace {

using Json = nlohmann::ordered_json;

struct UsageFlags {
  std::string data, by, since, until;
  bool requests = false;
  std::int64_t limit = 0;
};

// Estimates carry "~" for people.
std::string estimate(std::int64_t n) { return n == 0 ? "0" : fmt::format("~{}", n); }

std::vector<Cell> sums_of(const Json& j, bool wide) {
  std::vector<Cell> row = {{text_at(j, "/requests")},
                           {text_at(j, "/reportedIn")},
                           {text_at(j, "/reportedOut")},
                           {estimate(number_at(j, "/estimatedIn"))},
                           {estimate(number_at(j, "/estimatedOut"))},
                           {text_at(j, "/meanMs")}};
  if (wide) {
    for (const char* p : {"/reportedCached", "/estimatedRequests", "/bytesIn", "/bytesOut", "/retries"})
      row.push_back({text_at(j, p)});
  }
  return row;
}

void show_sums(Terminal& terminal, const Json& j, const std::vector<std::string>& by, bool wide) {
  std::vector<Table::Column> columns;
  for (std::string name : by) {
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    columns.push_back({std::move(name)});
  }
  if (by.empty()) columns.push_back({""});
  for (const char* t : {"REQUESTS", "IN", "OUT", "IN EST.", "OUT EST.", "MEAN MS"})
    columns.push_back({t, true});
  if (wide) {
    for (const char* t : {"CACHED", "EST. REQUESTS", "BYTES IN", "BYTES OUT", "RETRIES"})
      columns.push_back({t, true});
  }
  Table table(std::move(columns));
  const auto add = [&](std::vector<Cell> row, const Json& sums) {
    for (Cell& c : sums_of(sums, wide)) row.push_back(std::move(c));
    table.row(std::move(row));
  };
  if (!by.empty()) {
    for (const Json& item : j.at("items")) {
      std::vector<Cell> row;
      row.reserve(by.size());
      for (const std::string& name : by) row.push_back({item.value(name, "")});
      add(std::move(row), item);
    }
  }
  std::vector<Cell> total(std::max<std::size_t>(by.size(), 1), Cell{" "});
  total.front() = {"total", Style::strong};
  add(std::move(total), j.at("total"));
  terminal.out(table.text(terminal));
}

void show_requests(Terminal& terminal, const Json& j, bool wide) {
  std::vector<Table::Column> columns = {{"TIME"},    {"KEY"},      {"ROUTE"},     {"STATUS", true},
                                        {"OUTCOME"}, {"IN", true}, {"OUT", true}, {"MS", true}};
  if (wide) columns.insert(columns.end(), {{"FIRST MS", true}, {"BACKEND"}, {"TENANT"}, {"REASON"}, {"ID"}});
  Table table(std::move(columns));
  for (const Json& r : j.at("items")) {
    const bool estimated = text_at(r, "/usage") == "estimated";
    const auto tokens = [&](const char* p) { return estimated ? estimate(number_at(r, p)) : text_at(r, p); };
    const std::string outcome = text_at(r, "/outcome");
    std::vector<Cell> row = {{text_at(r, "/time")},
                             {text_at(r, "/key")},
                             {text_at(r, "/route")},
                             {text_at(r, "/status")},
                             {outcome, outcome == "complete" ? Style::plain : Style::warn},
                             {tokens("/tokensIn")},
                             {tokens("/tokensOut")},
                             {text_at(r, "/totalMs")}};
    if (wide) {
      for (const char* p : {"/firstByteMs", "/backend", "/tenant", "/reason", "/id"})
        row.push_back({text_at(r, p)});
    }
    table.row(std::move(row));
  }
  terminal.out(table.text(terminal));
  if (j.value("more", false)) terminal.note("older requests are left out: --limit or --since shows more");
  if (const std::int64_t bad = number_at(j, "/unreadableSegments"); bad > 0)
    terminal.note(fmt::format("{} journal segments are partly unreadable", bad));
}

Result<int> usage(Terminal& terminal, const UsageFlags& flags, Format format) {
  if (flags.limit > 0 && !flags.requests)
    return fail("bad_flag", "--limit bounds single requests, and sums are asked for",
                "tidegate usage --requests --limit N");
  auto call = AdminCall::open(terminal, flags.data);
  if (!call) return std::unexpected(call.error());
  std::string target = "/api/v1/usage?";
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) target += fmt::format("{}={}&", name, admin::percent_encode(value));
  };
  add("by", flags.by);
  add("since", flags.since);
  add("until", flags.until);
  add("requests", flags.requests ? "true" : "");
  add("limit", flags.limit > 0 ? fmt::to_string(flags.limit) : "");
  add("format", format == Format::csv ? "csv" : "");
  target.pop_back();
  if (format == Format::csv) {
    const auto text = call->get(target);
    if (!text) return std::unexpected(text.error());
    terminal.out(*text);
    return kGood;
  }
  std::vector<std::string> by;
  for (std::size_t at = 0; at < flags.by.size();) {
    const std::size_t end = std::min(flags.by.find(',', at), flags.by.size());
    by.push_back(flags.by.substr(at, end - at));
    at = end + 1;
  }
  const View view{[&] { return call->get(target); },
                  [&](Terminal& t, const Json& j, bool wide) {
                    if (flags.requests) {
                      show_requests(t, j, wide);
                    } else {
                      show_sums(t, j, by, wide);
                    }
                  },
                  [&](const Json& j) {
                    std::vector<std::string> names;
                    for (const Json& item : j.at("items")) {
                      names.push_back(flags.requests ? text_at(item, "/id")
                                      : by.empty()   ? std::string()
                                                     : item.value(by.front(), ""));
                    }
                    return names;
                  }};
  if (auto r = show(terminal, format, view); !r) return std::unexpected(r.error());
  return kGood;
}

}  // namespace

void add_usage(CommandLine& line) {
  auto flags = std::make_shared<UsageFlags>();
  Word& word = line.root().sub("usage", "who used what: requests and tokens, reported and estimated apart");
  word.example("tidegate usage --by key,model,day --since 7d")
      .example("tidegate usage --requests --since 1h -o csv");
  word.option("--by", "WORDS", flags->by,
              "sums by key, tenant, model, route, outcome, day, hour, minute; several with commas");
  word.option("--since", "TIME", flags->since, "from a day, a UTC time or a duration ago: 2026-11-21, 24h");
  word.option("--until", "TIME", flags->until, "up to then (default: now)");
  word.flag("--requests", flags->requests, "single requests instead of sums");
  word.number("--limit", "N", flags->limit, "with --requests: the latest N (default 1000)", 1);
  word.data_flag(flags->data).output_flag(true);
  word.action_result([flags, &word](Terminal& terminal) { return usage(terminal, *flags, word.format()); });
}

}  // namespace tg::app
