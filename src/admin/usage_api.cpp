#include "admin/usage_api.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "ledger/usage.hpp"

namespace tg::admin {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxRequests = 100'000;

double ms(std::int64_t ns) { return std::round(static_cast<double>(ns) / 1e3) / 1e3; }

void put_sums(Json& j, const ledger::UsageSums& s) {
  j["requests"] = s.requests;
  j["reportedRequests"] = s.reported_requests;
  j["estimatedRequests"] = s.requests - s.reported_requests;
  j["reportedIn"] = s.reported_in;
  j["reportedCached"] = s.reported_cached;
  j["reportedOut"] = s.reported_out;
  j["estimatedIn"] = s.estimated_in;
  j["estimatedOut"] = s.estimated_out;
  j["meanMs"] = s.requests > 0 ? ms(s.total_ns / s.requests) : 0.0;
  j["totalMs"] = ms(s.total_ns);
  j["firstByteMs"] = ms(s.first_byte_ns);
  j["bytesIn"] = s.bytes_in;
  j["bytesOut"] = s.bytes_out;
  j["retries"] = s.retries;
}

std::string usage_json(const ledger::UsageReport& report) {
  Json items = Json::array();
  for (const ledger::UsageRow& row : report.rows) {
    Json j;
    for (std::size_t i = 0; i < report.by.size(); ++i)
      j[std::string(ledger::usage_by_name(report.by[i]))] = row.group[i];
    put_sums(j, row.sums);
    items.push_back(std::move(j));
  }
  Json out;
  out["items"] = std::move(items);
  put_sums(out["total"], report.total);
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string requests_json(const ledger::RequestReport& report) {
  Json items = Json::array();
  for (const ledger::RequestRow& r : report.rows) {
    const ledger::SettleBody& s = r.settle;
    Json j;
    j["time"] = format_utc(s.utc_ns);
    j["id"] = request_id_text(s.id);
    j["key"] = r.key;
    j["tenant"] = r.tenant;
    j["route"] = r.route;
    j["model"] = r.model;
    j["backend"] = r.backend;
    j["operation"] = r.operation;
    j["stream"] = s.stream != 0;
    j["status"] = s.status;
    j["outcome"] = r.running ? "running" : std::string(ledger::outcome_name(s.outcome));
    j["reason"] = r.reason;
    j["usage"] = s.reported != 0 ? "reported" : "estimated";
    j["tokensIn"] = s.tokens_in;
    j["tokensOut"] = s.tokens_out;
    j["tokensCached"] = s.tokens_cached;
    j["firstByteMs"] = ms(s.first_byte_ns);
    j["totalMs"] = ms(s.total_ns);
    j["bytesIn"] = s.bytes_in;
    j["bytesOut"] = s.bytes_out;
    j["retries"] = s.retries;
    items.push_back(std::move(j));
  }
  Json out;
  out["items"] = std::move(items);
  out["more"] = report.more;
  out["unreadableSegments"] = report.unreadable_segments;
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// The value of a query parameter, or empty.
std::string value_of(const Request& request, const char* name) {
  const auto it = request.query.find(name);
  return it == request.query.end() ? std::string() : it->second;
}

std::unexpected<Error> invalid(const char* name, const Error& error) {
  return fail("query_invalid", fmt::format("{}: {}", name, error.message), error.hint);
}

}  // namespace

Result<Response> get_usage(const Request& request, Sources& sources) {
  const std::string format = value_of(request, "format");
  if (!format.empty() && format != "json" && format != "csv") {
    return fail("query_invalid", fmt::format("format={}: neither json nor csv", format));
  }
  const std::string which = value_of(request, "requests");
  if (!which.empty() && which != "true" && which != "false") {
    return fail("query_invalid", fmt::format("requests={}: neither true nor false", which));
  }
  const bool single = which == "true";

  ledger::TimeRange range;
  const std::int64_t now = utc_now_ns();
  for (const auto& [name, target] :
       {std::pair{"since", &range.from_utc_ns}, std::pair{"until", &range.to_utc_ns}}) {
    const std::string text = value_of(request, name);
    if (text.empty()) continue;
    const auto time = ledger::parse_time(text, now);
    if (!time) return invalid(name, time.error());
    *target = *time;
  }
  std::vector<ledger::UsageBy> by;
  if (const std::string text = value_of(request, "by"); !text.empty()) {
    if (single)
      return fail("query_invalid", "by has no meaning for single requests", "leave out by or requests");
    const auto parsed = ledger::parse_usage_by(text);
    if (!parsed) return invalid("by", parsed.error());
    by = *parsed;
  }
  std::size_t limit = 1000;
  if (const std::string text = value_of(request, "limit"); !text.empty()) {
    const bool digits = text.size() < 10 && text.find_first_not_of("0123456789") == std::string::npos;
    limit = digits ? std::stoul(text) : 0;
    if (limit < 1 || limit > kMaxRequests) {
      return fail("query_invalid", fmt::format("limit={}: not a number from 1 to {}", text, kMaxRequests));
    }
  }

  const auto place = sources.ledger();
  if (!place) return std::unexpected(place.error());
  const auto render_as = ledger::UsageFormat::csv;
  Response response;
  if (format == "csv") response.content_type = "text/csv; charset=utf-8";
  if (single) {
    const auto report = ledger::query_requests(place->dir, {range, limit, place->live_run});
    if (!report) return std::unexpected(report.error());
    response.body = format == "csv" ? ledger::render(*report, render_as) : requests_json(*report);
  } else {
    const auto report = ledger::query_usage(place->dir, by, range);
    if (!report) return std::unexpected(report.error());
    response.body = format == "csv" ? ledger::render(*report, render_as) : usage_json(*report);
  }
  return response;
}

}  // namespace tg::admin
