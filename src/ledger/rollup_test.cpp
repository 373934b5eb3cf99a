#include "ledger/rollup.hpp"

#include <gtest/gtest.h>

#include <optional>

#include "base/clock.hpp"
#include "ledger/testing.hpp"
#include "ledger/writer.hpp"

namespace tg::ledger {
namespace {

using namespace testing;

constexpr std::int64_t kDay = 24 * kHour;
constexpr std::int64_t kMidnight = kNoon - 12 * kHour;

SettleBody settled(std::int64_t utc_ns, std::int64_t tokens, bool reported = true,
                   Outcome outcome = Outcome::complete) {
  SettleBody s{};
  s.utc_ns = utc_ns;
  s.key = 7;
  s.outcome = outcome;
  s.reported = reported ? 1 : 0;
  s.tokens_in = tokens;
  s.tokens_out = 2 * tokens;
  s.tokens_cached = 1;
  s.first_byte_ns = 3;
  s.total_ns = 4;
  s.bytes_in = 5;
  s.bytes_out = 6;
  s.retries = 1;
  return s;
}

std::size_t rows_by(const TestDir& dir, const char* words) {
  const auto report = query_usage(dir.path(), *parse_usage_by(words), {});
  EXPECT_TRUE(report);
  return report->rows.size();
}

class Compaction : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = Rollups::open(dir_.path());
    ASSERT_TRUE(opened);
    rollups_.emplace(std::move(*opened));
    model_ = rollups_->number_of("a");
    other_ = rollups_->number_of("b");
    put(kMidnight, 1);  // the day's own row is there already
    put(kMidnight + kMinute, 10);
    put(kMidnight + 13 * kHour, 100, false);
    put(kMidnight + 13 * kHour, 1000, true, Outcome::client_gone);
    rollups_->add(settled(kNoon, 5), 0, other_, 0);
    put(kMidnight + kDay, 20);
    put(kMidnight + kDay + kHour, 30);
    put(kMidnight - kMinute, 40);  // the last minute of the day before
    ASSERT_TRUE(rollups_->commit({}, {}));
  }
  void put(std::int64_t at, std::int64_t tokens, bool reported = true, Outcome outcome = Outcome::complete) {
    rollups_->add(settled(at, tokens, reported, outcome), 0, model_, 0);
  }
  std::string report(const char* words) {
    return render(*query_usage(dir_.path(), *parse_usage_by(words), {}), UsageFormat::json);
  }

  TestDir dir_;
  std::optional<Rollups> rollups_;
  NameNumber model_ = 0, other_ = 0;
};

TEST_F(Compaction, SumsOfDaysStay) {
  const std::string before = report("day,model,outcome,key");
  EXPECT_EQ(rows_by(dir_, "minute"), 7U);
  ASSERT_TRUE(rollups_->compact(kMidnight + kDay + 12 * kHour));  // within the second day: it is left alone
  EXPECT_EQ(report("day,model,outcome,key"), before);
  EXPECT_EQ(rows_by(dir_, "minute"), 4U) << "two old days of one minute each, and the second day's two";
  EXPECT_EQ(query_usage(dir_.path(), {}, {kMidnight, kMidnight + kMinute})->total.requests, 5);
  EXPECT_EQ(query_usage(dir_.path(), {}, {kMidnight + kMinute, kMidnight + kDay})->total.requests, 0);
}

TEST_F(Compaction, AgainChangesNothingAndLaterRowsJoinTheirDay) {
  ASSERT_TRUE(rollups_->compact(kMidnight + kDay));
  const std::string before = report("minute,model,outcome");
  ASSERT_TRUE(rollups_->compact(kMidnight + kDay));
  EXPECT_EQ(report("minute,model,outcome"), before);
  // A late record of a joined day, as recovery may bring it; then the day after becomes old.
  put(kNoon, 7);
  ASSERT_TRUE(rollups_->commit({}, {}));
  ASSERT_TRUE(rollups_->compact(kMidnight + 2 * kDay));
  EXPECT_EQ(rows_by(dir_, "minute"), 3U);
  EXPECT_EQ(query_usage(dir_.path(), {}, {})->total.requests, 9);
  EXPECT_EQ(query_usage(dir_.path(), {}, {kMidnight, kMidnight + kMinute})->total.reported_in,
            1 + 10 + 1000 + 5 + 7);
}

TEST(CompactionByTheWriter, OldMinutesBecomeDaysOnTheNextStart) {
  const TestDir dir;
  const std::int64_t today = utc_now_ns() / kDay * kDay;
  const auto run = [&](bool store) {
    Metrics metrics(2);
    Logger log = quiet();
    LedgerWriter::Options options;
    options.dir = dir.path();
    options.metric_shard = 1;
    options.segment_bytes = 1 << 20;
    auto ledger = LedgerWriter::start(options, metrics, log);
    ASSERT_TRUE(ledger);
    ASSERT_TRUE((*ledger)->flush());  // its look at old rows is behind us
    for (const std::int64_t age : {89, 92}) {
      for (const std::int64_t minute : {60, 61, 62}) {
        if (store)
          (*ledger)->journal(0).settle(0, request(1), answer(1, 1), today - age * kDay + minute * kMinute);
      }
    }
    ASSERT_TRUE((*ledger)->flush());
    (*ledger)->stop();
  };
  run(true);
  EXPECT_EQ(rows_by(dir, "minute"), 6U);
  run(false);
  EXPECT_EQ(rows_by(dir, "minute"), 4U) << "90 days by the minute, older ones by the day";
  EXPECT_EQ(rows_by(dir, "day"), 2U);
  EXPECT_EQ(sums_of(dir.path()).requests, 6);
}

}  // namespace
}  // namespace tg::ledger
