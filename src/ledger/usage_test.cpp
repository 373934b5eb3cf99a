#include "ledger/usage.hpp"

#include <gtest/gtest.h>

#include "ledger/key_store.hpp"
#include "ledger/testing.hpp"
#include "ledger/writer.hpp"

namespace tg::ledger {
namespace {

using namespace testing;

TEST(ParseTime, Forms) {
  EXPECT_EQ(parse_time("2026-11-21T12:00", 0).value(), kNoon);
  EXPECT_EQ(parse_time("2026-11-21T12:00Z", 0).value(), kNoon);
  EXPECT_EQ(parse_time("2026-11-21T12:00:07Z", 0).value(), kNoon + 7 * kSecond);
  EXPECT_EQ(parse_time("2026-11-21", 0).value(), kNoon - 12 * kHour);
  EXPECT_EQ(parse_time("1970-01-01", 0).value(), 0);
  EXPECT_EQ(parse_time("24h", kNoon).value(), kNoon - 24 * kHour);
  for (const char* bad : {"", "yesterday", "2026-13-01", "2026-02-29", "2026-11-21T25:00", "2026-11-21T12",
                          "2026-11-2", "2026/11/21", "+026-11-21", "2026-11-21T12:00:99", "9999-01-01"}) {
    const auto r = parse_time(bad, kNoon);
    ASSERT_FALSE(r) << bad;
    EXPECT_EQ(r.error().code, "time_invalid");
  }
}

TEST(ParseUsageBy, WordsAndErrors) {
  EXPECT_EQ(parse_usage_by("key,model,day").value(),
            (std::vector{UsageBy::key, UsageBy::model, UsageBy::day}));
  EXPECT_TRUE(parse_usage_by("")->empty());
  const auto bad = parse_usage_by("key,week");
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("week"), std::string::npos);
  EXPECT_NE(bad.error().hint.find("tenant"), std::string::npos);
}

class Usage : public ::testing::Test {
 protected:
  void SetUp() override {
    auto keys = KeyStore::open(dir_.path());
    ASSERT_TRUE(keys);
    const KeyEntry* laptop = (*keys)->create({"laptop"})->front().entry;
    const KeyEntry* bare = (*keys)->create({""})->front().entry;
    laptop_ = "laptop (" + laptop->prefix + ")";
    bare_ = bare->prefix;
    Metrics metrics(2);
    Logger log = quiet();
    LedgerWriter::Options options;
    options.dir = dir_.path();
    options.segment_bytes = 1 << 20;
    options.metric_shard = 1;
    auto ledger = LedgerWriter::start(options, metrics, log);
    ASSERT_TRUE(ledger);
    const auto put = [&](std::uint64_t n, KeyId key, const char* model, std::int64_t at,
                         const AnswerInfo& a) {
      RequestInfo r = request(n);
      r.key = key;
      r.model = model;
      const Ticket t = (*ledger)->journal(0).begin(r, at);
      (*ledger)->journal(0).settle(t, r, a, at);
    };
    put(1, laptop->id, "a", kNoon, answer(10, 1));
    put(2, laptop->id, "a", kNoon + 59 * kSecond, answer(20, 2, false));
    put(3, laptop->id, "b", kNoon + kMinute, answer(30, 3));
    put(4, bare->id, "a", kNoon + 13 * kHour, answer(40, 4));
    AnswerInfo gone = answer(50, 5, false);
    gone.outcome = Outcome::client_gone;
    put(5, bare->id, "a", kNoon + 13 * kHour, gone);
    RequestInfo nobody;
    nobody.id = id_of(6);
    AnswerInfo refused;
    refused.status = 401;
    refused.outcome = Outcome::refused;
    refused.reason = "say \"no\", twice";
    (*ledger)->journal(0).settle(0, nobody, refused, kNoon + 2 * kMinute);
    (*ledger)->stop();
  }

  UsageReport by(const char* words, TimeRange range = {}) {
    auto report = query_usage(dir_.path(), *parse_usage_by(words), range);
    EXPECT_TRUE(report) << (report ? "" : report.error().message);
    return std::move(*report);
  }

  TestDir dir_;
  std::string laptop_, bare_;
};

TEST_F(Usage, GroupsByEveryWord) {
  for (const char* word : {"key", "tenant", "model", "route", "outcome", "day", "hour", "minute"}) {
    const UsageReport report = by(word);
    std::int64_t requests = 0;
    for (const UsageRow& row : report.rows) requests += row.sums.requests;
    EXPECT_EQ(requests, 6) << word;
    EXPECT_EQ(report.total.requests, 6) << word;
    EXPECT_EQ(report.total.reported_in, 80) << word;
    EXPECT_EQ(report.total.estimated_in, 70) << word;
  }
  EXPECT_EQ(by("").total.requests, 6);
  EXPECT_EQ(by("").rows.size(), 0U);
}

TEST_F(Usage, KeyModelDay) {
  const UsageReport report = by("key,model,day");
  ASSERT_EQ(report.rows.size(), 4U);
  const auto row_of = [&](const std::vector<std::string>& group) -> const UsageSums* {
    for (const UsageRow& r : report.rows) {
      if (r.group == group) return &r.sums;
    }
    return nullptr;
  };
  const UsageSums* a = row_of({laptop_, "a", "2026-11-21"});
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->requests, 2);
  EXPECT_EQ(a->reported_requests, 1);
  EXPECT_EQ(a->reported_in, 10);
  EXPECT_EQ(a->reported_out, 1);
  EXPECT_EQ(a->estimated_in, 20);
  EXPECT_EQ(a->estimated_out, 2);
  ASSERT_NE(row_of({laptop_, "b", "2026-11-21"}), nullptr);
  const UsageSums* night = row_of({bare_, "a", "2026-11-22"});
  ASSERT_NE(night, nullptr);
  EXPECT_EQ(night->requests, 2);
  ASSERT_NE(row_of({"", "", "2026-11-21"}), nullptr) << "a request without a key";
}

TEST_F(Usage, ATimeRangeIsHalfOpenInMinutes) {
  EXPECT_EQ(by("", {kNoon, kNoon + kMinute}).total.requests, 2);
  EXPECT_EQ(by("", {kNoon + kMinute, kNoon + kHour}).total.requests, 2);
  EXPECT_EQ(by("", {kNoon + kHour, kNoon + 24 * kHour}).total.requests, 2);
  EXPECT_EQ(by("", {kNoon + 24 * kHour, kNoon + 48 * kHour}).total.requests, 0);
}

TEST_F(Usage, SingleRequests) {
  auto all = query_requests(dir_.path(), {});
  ASSERT_TRUE(all);
  ASSERT_EQ(all->rows.size(), 6U);
  EXPECT_EQ(all->rows[0].key, laptop_);
  EXPECT_EQ(all->rows[0].model, "a");
  EXPECT_EQ(all->rows[0].settle.tokens_in, 10);
  EXPECT_EQ(all->rows[3].reason, "say \"no\", twice");
  EXPECT_FALSE(all->more);
  auto latest = query_requests(dir_.path(), {.limit = 2});
  ASSERT_EQ(latest->rows.size(), 2U);
  EXPECT_TRUE(latest->more);
  EXPECT_EQ(latest->rows[1].settle.id, id_of(5));
  EXPECT_EQ(query_requests(dir_.path(), {.range = {kNoon, kNoon + kMinute}})->rows.size(), 2U);
}

TEST_F(Usage, JsonCsvTable) {
  const UsageReport report = by("model,outcome");
  const std::string json = render(report, UsageFormat::json);
  EXPECT_NE(json.find("{\"model\":\"a\",\"outcome\":\"client_gone\",\"requests\":1,\"reported_requests\":0,"
                      "\"estimated_requests\":1,\"reported_in\":0,\"reported_cached\":0,\"reported_out\":0,"
                      "\"estimated_in\":50,\"estimated_out\":5,"),
            std::string::npos)
      << json;
  EXPECT_NE(json.find("\"total\":{\"requests\":6,"), std::string::npos);
  const std::string csv = render(report, UsageFormat::csv);
  EXPECT_TRUE(csv.starts_with("model,outcome,requests,reported_requests,estimated_requests,reported_in"))
      << csv;
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 5);
  const std::string table = render(report, UsageFormat::table);
  EXPECT_TRUE(
      table.starts_with("model  outcome      requests  in  cached  out  in (est.)  out (est.)  mean ms\n"))
      << table;
  EXPECT_NE(table.find("\ntotal  -"), std::string::npos) << table;

  const auto requests = *query_requests(dir_.path(), {});
  EXPECT_NE(render(requests, UsageFormat::csv).find(",\"say \"\"no\"\", twice\","), std::string::npos);
  EXPECT_NE(render(requests, UsageFormat::json).find("\"reason\":\"say \\\"no\\\", twice\""),
            std::string::npos);
  const std::string lines = render(requests, UsageFormat::table);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 7);
}

TEST(UsageEmpty, ADirectoryWithoutALedger) {
  const TestDir dir;
  EXPECT_EQ(query_usage(dir.path(), {UsageBy::key}, {})->rows.size(), 0U);
  EXPECT_EQ(query_requests(dir.path(), {})->rows.size(), 0U);
  EXPECT_FALSE(std::filesystem::exists(database_path(dir.path()))) << "asking makes no files";
}

}  // namespace
}  // namespace tg::ledger
