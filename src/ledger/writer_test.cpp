#include "ledger/writer.hpp"

#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <set>
#include <thread>

#include "ledger/key_store.hpp"
#include "ledger/segment.hpp"
#include "ledger/testing.hpp"

namespace tg::ledger {
namespace {

using namespace testing;

struct Running {
  explicit Running(const TestDir& dir, std::size_t workers = 1, std::uint64_t segment_bytes = 1 << 20)
      : metrics(workers + 1) {
    options.dir = dir.path();
    options.workers = workers;
    options.metric_shard = workers;
    options.segment_bytes = segment_bytes;
  }
  LedgerWriter& start() {
    auto started = LedgerWriter::start(options, metrics, log);
    EXPECT_TRUE(started) << (started ? "" : started.error().message);
    ledger = std::move(*started);
    return *ledger;
  }
  std::int64_t metric(const std::string& name) { return metrics.counter(name, "").total(); }

  LedgerWriter::Options options;
  Metrics metrics;
  Logger log = quiet();
  std::unique_ptr<LedgerWriter> ledger;
};

std::string access_log(const TestDir& dir) { return dir.path() + "/logs/access.log"; }

TEST(LedgerWriter, SumsLogAndRequestsAgree) {
  const TestDir dir;
  Running running(dir);
  LedgerWriter& ledger = running.start();
  JournalWriter& journal = ledger.journal(0);
  for (std::uint64_t i = 1; i <= 10; ++i) {
    const Ticket t = journal.begin(request(i), kNoon);
    AnswerInfo a = answer(100, 10, i % 2 == 0);
    if (i == 10) a.outcome = Outcome::client_gone;
    journal.settle(t, request(i), a, kNoon + static_cast<std::int64_t>(i) * kSecond);
  }
  RequestInfo nobody;
  nobody.id = id_of(11);
  AnswerInfo refused;
  refused.status = 401;
  refused.outcome = Outcome::refused;
  refused.reason = "invalid_api_key";
  journal.settle(0, nobody, refused, kNoon + 90 * kSecond);
  ASSERT_TRUE(ledger.flush());

  const UsageSums sums = sums_of(dir.path());
  EXPECT_EQ(sums.requests, 11);
  EXPECT_EQ(sums.reported_requests, 5);
  EXPECT_EQ(sums.reported_in, 500);
  EXPECT_EQ(sums.reported_out, 50);
  EXPECT_EQ(sums.estimated_in, 500);
  EXPECT_EQ(sums.estimated_out, 50);
  EXPECT_EQ(sums.total_ns, 50'000'000);
  EXPECT_EQ(sums.bytes_out, 200);
  EXPECT_EQ(requests_with(dir.path(), Outcome::complete), 9);
  EXPECT_EQ(requests_with(dir.path(), Outcome::client_gone), 1);
  EXPECT_EQ(requests_with(dir.path(), Outcome::refused), 1);

  const auto lines = lines_of(access_log(dir));
  ASSERT_EQ(lines.size(), 11U);
  EXPECT_EQ(
      lines[1],
      "{\"time\":\"2026-11-21T12:00:02.000Z\",\"id\":\"req_00000000000000000000000002\",\"key\":7,\"tenant\":"
      "\"default\","
      "\"route\":\"gpt-4o-mini\",\"model\":\"gpt-4o-mini-2024\",\"backend\":\"openai\",\"operation\":"
      "\"chat\","
      "\"stream\":false,\"status\":200,\"outcome\":\"complete\",\"usage\":\"reported\",\"tokens_in\":100,"
      "\"tokens_out\":10,\"tokens_cached\":0,\"first_byte_ms\":2.000,\"total_ms\":5.000,\"bytes_in\":10,"
      "\"bytes_out\":20,\"retries\":0}");
  EXPECT_NE(lines[10].find("\"reason\":\"invalid_api_key\""), std::string::npos);

  const auto requests = query_requests(dir.path(), {.live_run = ledger.run()});
  ASSERT_TRUE(requests);
  EXPECT_EQ(requests->rows.size(), 11U);
  EXPECT_EQ(requests->unreadable_segments, 0U);
}

TEST(LedgerWriter, ARequestAfterAnIdleTimeIsStoredWithoutAFlush) {
  const TestDir dir;
  Running running(dir);
  running.options.commit_every = kMillisecond;
  LedgerWriter& ledger = running.start();
  ASSERT_TRUE(ledger.flush());  // from here on the thread sleeps
  for (std::int64_t n = 1; n <= 3; ++n) {
    ledger.journal(0).settle(0, request(1), answer(1, 1), kNoon);
    const Nanos deadline = mono_now() + 20 * kSecond;
    while (sums_of(dir.path()).requests < n && mono_now() < deadline) std::this_thread::yield();
    ASSERT_EQ(sums_of(dir.path()).requests, n) << "the writer thread was not woken";
  }
}

TEST(LedgerWriter, RestartsAddUp) {
  const TestDir dir;
  for (int run = 1; run <= 3; ++run) {
    Running running(dir, 2);
    LedgerWriter& ledger = running.start();
    for (std::uint64_t i = 0; i < 5; ++i) {
      for (std::size_t w = 0; w < 2; ++w) {
        const Ticket t = ledger.journal(w).begin(request(i), kNoon);
        ledger.journal(w).settle(t, request(i), answer(1, 2), kNoon);
      }
    }
    ledger.stop();
    EXPECT_EQ(sums_of(dir.path()).requests, 10 * run);
    EXPECT_EQ(requests_with(dir.path(), Outcome::interrupted), 0);
  }
  EXPECT_EQ(lines_of(access_log(dir)).size(), 30U);
  // Finished segments hold their records and nothing else.
  const auto files = list_segments(dir.path());
  ASSERT_EQ(files->size(), 6U);
  for (const SegmentFile& f : *files) EXPECT_LT(std::filesystem::file_size(f.path), 4'096U) << f.path;
}

TEST(LedgerWriter, AnOpenRequestAtStopIsInterruptedAtTheNextStart) {
  const TestDir dir;
  {
    Running running(dir);
    running.start().journal(0).begin(request(1, 321), kNoon);
    running.ledger->stop();
  }
  EXPECT_EQ(sums_of(dir.path()).requests, 0);
  Running running(dir);
  ASSERT_TRUE(running.start().flush());
  EXPECT_EQ(requests_with(dir.path(), Outcome::interrupted), 1);
  EXPECT_EQ(sums_of(dir.path()).estimated_in, 321);
  EXPECT_EQ(running.metric("tidegate_ledger_interrupted_requests_total"), 1);
}

TEST(LedgerWriter, FewerWorkersThanBefore) {
  const TestDir dir;
  {
    Running running(dir, 3);
    LedgerWriter& ledger = running.start();
    for (std::size_t w = 0; w < 3; ++w) ledger.journal(w).begin(request(w), kNoon);
    ledger.stop();
  }
  for (int again = 0; again < 2; ++again) {
    Running running(dir, 1);
    ASSERT_TRUE(running.start().flush());
    running.ledger->stop();
    EXPECT_EQ(requests_with(dir.path(), Outcome::interrupted), 3);
  }
}

TEST(LedgerWriter, ChangesSegmentsWithoutLosingARecord) {
  const TestDir dir;
  Running running(dir, 1, 16 * 1024);
  LedgerWriter& ledger = running.start();
  constexpr std::int64_t kRequests = 2'000;
  std::vector<Ticket> open;
  for (std::int64_t i = 0; i < kRequests; ++i) {
    const auto n = static_cast<std::uint64_t>(i);
    // Each settles some forty requests later, often in another segment.
    open.push_back(ledger.journal(0).begin(request(n), kNoon));
    if (i >= 40) ledger.journal(0).settle(open[n - 40], request(n - 40), answer(3, 4), kNoon);
    if (i % 20 == 0) {
      ASSERT_TRUE(ledger.flush());  // gives the writer thread its turn: the segments here are tiny
    }
  }
  ASSERT_TRUE(ledger.flush());
  EXPECT_EQ(running.metric("tidegate_journal_lost_records_total"), 0);
  EXPECT_EQ(sums_of(dir.path()).requests, kRequests - 40);
  EXPECT_EQ(sums_of(dir.path()).reported_in, 3 * (kRequests - 40));
  const auto requests = query_requests(dir.path(), {.limit = 100'000, .live_run = ledger.run()});
  ASSERT_TRUE(requests);
  EXPECT_EQ(std::count_if(requests->rows.begin(), requests->rows.end(),
                          [](const RequestRow& r) { return r.running; }),
            40);
  ledger.stop();
  EXPECT_GT(list_segments(dir.path())->size(), 10U);
  const auto after = query_requests(dir.path(), {.limit = 100'000});
  EXPECT_EQ(after->rows.size(), static_cast<std::size_t>(kRequests));
}

TEST(LedgerWriter, ManyWorkersAtOnce) {
  const TestDir dir;
  constexpr std::size_t kWorkers = 3;
  constexpr std::uint64_t kEach = 3'000;
  Running running(dir, kWorkers, 4 << 20);
  running.options.commit_every = 5 * kMillisecond;
  LedgerWriter& ledger = running.start();
  std::vector<std::thread> threads;
  threads.reserve(kWorkers);
  for (std::size_t w = 0; w < kWorkers; ++w) {
    threads.emplace_back([&, w] {
      for (std::uint64_t i = 0; i < kEach; ++i) {
        const Ticket t = ledger.journal(w).begin(request(i), kNoon);
        ledger.journal(w).settle(t, request(i), answer(1, 2), kNoon + static_cast<std::int64_t>(i) * kSecond);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  ledger.stop();
  EXPECT_EQ(sums_of(dir.path()).requests, static_cast<std::int64_t>(kWorkers * kEach));
  EXPECT_EQ(sums_of(dir.path()).reported_out, static_cast<std::int64_t>(2 * kWorkers * kEach));
  EXPECT_EQ(lines_of(access_log(dir)).size(), kWorkers * kEach);
}

TEST(LedgerWriter, TheAccessLogRotates) {
  const TestDir dir;
  Running running(dir);
  running.options.access_log = {.bytes = 4'000, .keep = 2};
  LedgerWriter& ledger = running.start();
  for (std::uint64_t i = 0; i < 60; ++i) {
    ledger.journal(0).settle(0, request(i), answer(1, 1), kNoon);
    ASSERT_TRUE(ledger.flush());
  }
  ledger.stop();
  const auto newest = lines_of(access_log(dir));
  const auto older = lines_of(access_log(dir) + ".1");
  const auto oldest = lines_of(access_log(dir) + ".2");
  EXPECT_FALSE(std::filesystem::exists(access_log(dir) + ".3"));
  EXPECT_EQ(older.size(), oldest.size());
  EXPECT_GE(older.size(), 9U);
  // The last lines of all, without a gap.
  std::vector<std::string> all = oldest;
  all.insert(all.end(), older.begin(), older.end());
  all.insert(all.end(), newest.begin(), newest.end());
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_NE(all[i].find(request_id_text(id_of(60 - all.size() + i))), std::string::npos) << i;
  }
}

TEST(LedgerWriter, AMovedAccessLogIsOpenedAnew) {
  const TestDir dir;
  Running running(dir);
  LedgerWriter& ledger = running.start();
  ledger.journal(0).settle(0, request(1), answer(1, 1), kNoon);
  ASSERT_TRUE(ledger.flush());
  std::filesystem::rename(access_log(dir), access_log(dir) + ".mine");
  ledger.journal(0).settle(0, request(2), answer(1, 1), kNoon);
  ASSERT_TRUE(ledger.flush());
  EXPECT_EQ(lines_of(access_log(dir)).size(), 1U);
  EXPECT_EQ(lines_of(access_log(dir) + ".mine").size(), 1U);
}

TEST(LedgerWriter, OldSegmentsAreRemovedAndTheirSumsStay) {
  const TestDir dir;
  {
    Running running(dir);
    running.start().journal(0).settle(0, request(1), answer(1, 1), kNoon);
    running.ledger->stop();
  }
  ASSERT_EQ(list_segments(dir.path())->size(), 1U);
  const std::string old = list_segments(dir.path())->front().path;
  Running running(dir);
  running.options.retention = 1;  // nanosecond
  ASSERT_TRUE(running.start().flush());
  EXPECT_FALSE(std::filesystem::exists(old));
  EXPECT_EQ(sums_of(dir.path()).requests, 1);
}

// ---- a full disk
// ---------------------------------------------------------------------------------------------------

// Files of this process cannot grow beyond `bytes`: posix_fallocate() fails as on a full disk. Needs no
// rights.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    old_ = ::signal(SIGXFSZ, SIG_IGN);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { lift(); }
  void lift() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, old_);
  }

 private:
  rlimit before_{};
  sighandler_t old_ = SIG_DFL;
};

TEST(FullDisk, RequestsGoOnAreCountedAsLostAndComeBackWithTheRoom) {
  const TestDir dir;
  Running running(dir, 1, 8 << 20);
  FileSizeLimit full(4 << 20);
  LedgerWriter& ledger = running.start();  // no error: the program serves
  ASSERT_TRUE(ledger.flush());
  JournalWriter& journal = ledger.journal(0);
  EXPECT_EQ(journal.begin(request(1), kNoon), 0U);
  journal.settle(0, request(1), answer(100, 11), kNoon);
  EXPECT_EQ(running.metric("tidegate_journal_lost_records_total"), 2);
  EXPECT_EQ(running.metric("tidegate_journal_lost_tokens_total"), 111);
  EXPECT_TRUE(list_segments(dir.path())->empty()) << "a failed try leaves no file";

  full.lift();
  const Nanos deadline = mono_now() + 30 * kSecond;
  Ticket t = 0;
  while (t == 0 && mono_now() < deadline) {
    t = journal.begin(request(2), kNoon);
    if (t == 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ASSERT_NE(t, 0U) << "the journal did not come back";
  journal.settle(t, request(2), answer(5, 6), kNoon);
  ASSERT_TRUE(ledger.flush());
  EXPECT_EQ(sums_of(dir.path()).requests, 1);
  EXPECT_EQ(sums_of(dir.path()).reported_in, 5);
}

TEST(FullDisk, TheDatabaseCatchesUp) {
  const TestDir dir;
  Running running(dir, 1, 64 << 10);
  LedgerWriter& ledger = running.start();
  ASSERT_TRUE(ledger.flush());
  std::int64_t stored = 0;
  {
    // Smaller than the write-ahead log already is: the commit must fail, the journal's segment is there.
    FileSizeLimit full(4'096);
    for (; stored < 20; ++stored) {
      ledger.journal(0).settle(0, request(static_cast<std::uint64_t>(stored)), answer(1, 1), kNoon);
    }
    const auto failed = ledger.flush();
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, "database_full");
    EXPECT_EQ(running.metric("tidegate_ledger_commit_failures_total"), 1);
    EXPECT_EQ(sums_of(dir.path()).requests, 0);
  }
  ASSERT_TRUE(ledger.flush());
  EXPECT_EQ(sums_of(dir.path()).requests, stored);
  ledger.stop();
  Running again(dir);
  ASSERT_TRUE(again.start().flush());
  EXPECT_EQ(sums_of(dir.path()).requests, stored);
}

struct Unmount {
  std::string path;
  ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
};

// A real file system without room: a reserved segment must not become SIGBUS, and the database waits.
TEST(FullDisk, OnASmallFileSystem) {
  const TestDir dir;
  if (::mount("tidegate-test", dir.path().c_str(), "tmpfs", 0, "size=3m") != 0)
    GTEST_SKIP() << "needs the right to mount";
  const Unmount unmount{dir.path()};
  {
    Running running(dir, 1, 1 << 20);
    LedgerWriter& ledger = running.start();
    ASSERT_TRUE(ledger.flush());
    const std::string filler = dir.path() + "/filler";
    std::ofstream(filler) << std::string(4 << 20, 'x');  // takes what is left
    JournalWriter& journal = ledger.journal(0);
    std::int64_t stored = 0;
    const Counter lost = running.metrics.counter("tidegate_journal_lost_records_total", "");
    for (std::uint64_t i = 0; i < 20'000; ++i) {
      const std::int64_t before = lost.total();
      journal.settle(0, request(i), answer(1, 1), kNoon + static_cast<std::int64_t>(i) * kMinute);
      stored += lost.total() == before ? 1 : 0;
    }
    EXPECT_GT(stored, 6'000) << "the reserved segment takes a MiB of records";
    EXPECT_LT(stored, 20'000);
    const auto full = ledger.flush();
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().code, "database_full");
    EXPECT_GT(running.metric("tidegate_access_log_dropped_lines_total"), 0);
    std::filesystem::remove(filler);
    // A minute each: thousands of rows that must all be written now.
    ASSERT_TRUE(ledger.flush()) << "the sums were not stored once there was room";
    EXPECT_EQ(sums_of(dir.path()).requests, stored);
    ledger.stop();
  }
}

}  // namespace
}  // namespace tg::ledger
