// Faults: a crash at every byte of the journal, kill -9 of a live writer, a corrupt tail, and the replay of
// it all.
#include "ledger/recovery.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <atomic>
#include <set>
#include <thread>

#include "ledger/testing.hpp"
#include "ledger/writer.hpp"

#if defined(__SANITIZE_THREAD__)
#define TG_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TG_THREAD_SANITIZER 1
#endif
#endif

namespace tg::ledger {
namespace {

using namespace testing;

void copy_journal(const std::string& bytes, const std::string& dir, std::uint64_t sequence = 1) {
  ASSERT_TRUE(make_directories(dir + "/journal"));
  write_text(segment_path(dir, 0, sequence), bytes);
}

void recover_once(const std::string& dir) {
  Logger log = quiet();
  const auto r = recover_ledger(dir, log);
  ASSERT_TRUE(r) << r.error().message;
}

std::size_t log_lines(const std::string& dir) { return lines_of(dir + "/logs/access.log").size(); }

struct Expected {
  std::int64_t settled = 0, interrupted = 0, tokens_in = 0;
};

// What the records that end at or before `cut` mean, computed from the whole journal by the reader alone.
Expected expected_at(const std::string& bytes, std::uint64_t cut) {
  std::vector<std::uint64_t> aligned((bytes.size() + 7) / 8);
  std::memcpy(aligned.data(), bytes.data(), bytes.size());
  RecordReader reader(std::as_bytes(std::span(aligned)), sizeof(SegmentHeader), true);
  RecordView record;
  Expected e;
  std::map<Ticket, std::int64_t> open;
  while (reader.next(record) == RecordReader::Next::record && reader.offset() <= cut) {
    BeginBody b;
    SettleBody s;
    if (decode(record, b)) open[make_ticket(1, record.offset)] = b.prompt_estimate;
    if (decode(record, s)) {
      open.erase(s.begun_at);
      ++e.settled;
      e.tokens_in += s.tokens_in;
    }
  }
  for (const auto& [ticket, estimate] : open) {
    ++e.interrupted;
    e.tokens_in += estimate;
  }
  return e;
}

std::string three_requests(std::uint64_t& used) {
  const TestDir dir;
  LooseJournal journal(dir.path(), 1, 0, 8'192);
  const Ticket a = journal->begin(request(1, 10), kNoon);
  const Ticket b = journal->begin(request(2, 20), kNoon);
  journal->settle(b, request(2), answer(200, 2), kNoon);
  journal->settle(a, request(1), answer(100, 1), kNoon);
  journal->begin(request(3, 30), kNoon);
  used = journal.used();
  return journal.bytes();
}

enum class Crash { zeros, truncated, garbage };

void crash_everywhere(Crash kind) {
  std::uint64_t used = 0;
  const std::string whole = three_requests(used);
  for (std::uint64_t cut = sizeof(SegmentHeader); cut <= used; ++cut) {
    const TestDir dir;
    std::string bytes = whole.substr(0, cut);
    if (kind == Crash::zeros) bytes.resize(whole.size(), '\0');
    if (kind == Crash::garbage) bytes.resize(whole.size(), '\x5A');
    copy_journal(bytes, dir.path());
    // Bytes that were zero anyway are not missing.
    std::uint64_t there = cut;
    while (kind == Crash::zeros && there < used && whole[there] == '\0') ++there;
    const Expected e = expected_at(whole, there);
    for (int again = 0; again < 2; ++again) {  // a second recovery changes nothing
      recover_once(dir.path());
      const UsageSums sums = sums_of(dir.path());
      ASSERT_EQ(sums.requests, e.settled + e.interrupted) << "cut at " << cut << ", time " << again;
      ASSERT_EQ(requests_with(dir.path(), Outcome::interrupted), e.interrupted) << cut;
      ASSERT_EQ(sums.reported_in + sums.estimated_in, e.tokens_in) << cut;
      ASSERT_EQ(log_lines(dir.path()), static_cast<std::size_t>(e.settled + e.interrupted)) << cut;
    }
  }
}

TEST(Crash, AtEveryByteTheRestZeros) { crash_everywhere(Crash::zeros); }
TEST(Crash, AtEveryByteTheFileCutOff) { crash_everywhere(Crash::truncated); }
TEST(Crash, AtEveryByteTheRestGarbage) { crash_everywhere(Crash::garbage); }

TEST(Crash, ABadRecordIsCountedAndTheNextSegmentIsRead) {
  std::uint64_t used = 0;
  const std::string whole = three_requests(used);
  const TestDir dir;
  std::string bad = whole;
  bad[used - 1] = static_cast<char>(bad[used - 1] ^ 1);
  copy_journal(bad, dir.path(), 1);
  LooseJournal next(dir.path(), 2);
  next->settle(0, request(9), answer(7, 7), kNoon);
  next.end();

  auto files = list_segments(dir.path());
  auto books = Books::open(dir.path(), {});
  Logger log = quiet();
  const Recovered r = recover(*files, *books, log);
  EXPECT_EQ(r.corrupt, 1U);
  EXPECT_EQ(r.settled, 3U);
  EXPECT_EQ(r.interrupted, 0U);  // the begin that went bad is not known
}

TEST(Crash, ANonSegmentIsPassedOver) {
  const TestDir dir;
  copy_journal("not a segment", dir.path(), 1);
  copy_journal(std::string(100'000, '\xFF'), dir.path(), 2);
  copy_journal("", dir.path(), 3);
  LooseJournal next(dir.path(), 4);
  next->settle(0, request(9), answer(7, 7), kNoon);
  auto files = list_segments(dir.path());
  auto books = Books::open(dir.path(), {});
  Logger log = quiet();
  const Recovered r = recover(*files, *books, log);
  EXPECT_EQ(r.corrupt, 3U);
  EXPECT_EQ(r.settled, 1U);
}

TEST(Crash, AHoleWithRecordsBehindItIsCounted) {
  std::uint64_t used = 0;
  std::string bytes = three_requests(used);
  // Power loss wrote the later page and not the earlier one.
  for (std::size_t i = 600; i < 700; ++i) bytes[i] = '\0';
  const TestDir dir;
  copy_journal(bytes, dir.path());
  auto files = list_segments(dir.path());
  auto books = Books::open(dir.path(), {});
  Logger log = quiet();
  EXPECT_EQ(recover(*files, *books, log).corrupt, 1U);
}

// The state of the disk between "the log has the lines" and "the database has the sums", and at every commit
// before.
TEST(Crash, BetweenAccessLogAndCommit) {
  const TestDir dir;
  const std::string copies = dir.path() + "/copies";
  Metrics metrics(2);
  Logger log = quiet();
  LedgerWriter::Options options;
  options.dir = dir.path() + "/data";
  options.segment_bytes = 1 << 20;
  options.metric_shard = 1;
  std::filesystem::create_directories(options.dir);
  auto ledger = LedgerWriter::start(options, metrics, log);
  ASSERT_TRUE(ledger);
  for (std::uint64_t i = 1; i <= 6; ++i) {
    // The database of one commit ago beside the journal and log of now.
    ASSERT_TRUE((*ledger)->flush());
    const std::string copy = copies + std::to_string(i);
    std::filesystem::create_directories(copy);
    for (const char* name : {"/tidegate.db", "/tidegate.db-wal"}) {
      if (std::filesystem::exists(options.dir + name))
        std::filesystem::copy_file(options.dir + name, copy + name);
    }
    const Ticket t = (*ledger)->journal(0).begin(request(i), kNoon);
    (*ledger)->journal(0).settle(t, request(i), answer(1, 1), kNoon);
    ASSERT_TRUE((*ledger)->flush());
    std::filesystem::create_directories(copy + "/journal");
    std::filesystem::create_directories(copy + "/logs");
    const auto files = list_segments(options.dir);
    for (const SegmentFile& f : *files) {
      std::filesystem::copy_file(f.path,
                                 copy + "/journal/" + std::filesystem::path(f.path).filename().string());
    }
  }
  (*ledger)->stop();
  for (std::uint64_t i = 1; i <= 6; ++i) {
    const std::string copy = copies + std::to_string(i);
    recover_once(copy);
    EXPECT_EQ(sums_of(copy).requests, static_cast<std::int64_t>(i));
    recover_once(copy);
    EXPECT_EQ(sums_of(copy).requests, static_cast<std::int64_t>(i));
  }
}

// The access log after a crash has each request once, also when it was rotated in between.
TEST(Crash, TheAccessLogIsCutBackToTheCommit) {
  for (const int rotations : {0, 1, 3}) {
    const TestDir dir;
    const std::string path = dir.path() + "/logs/access.log";
    AccessLogMark mark;
    {
      auto log = AccessLog::open(dir.path(), {}, {});
      ASSERT_TRUE(log);
      LogName name;
      SettleBody s;
      log->append(s, {&name, &name, &name, &name, &name, &name});
      ASSERT_TRUE(log->flush());
      mark = log->mark();
      log->append(s, {&name, &name, &name, &name, &name, &name});  // not committed
      ASSERT_TRUE(log->flush());
    }
    for (int i = 1; i <= rotations; ++i) {
      for (int j = i; j > 0; --j) {
        std::filesystem::rename(j == 1 ? path : path + "." + std::to_string(j - 1),
                                path + "." + std::to_string(j));
      }
      write_text(path, "a line after the rotation\n");
    }
    auto log = AccessLog::open(dir.path(), {}, mark);
    ASSERT_TRUE(log);
    std::size_t lines = 0;
    for (const auto& file : std::filesystem::directory_iterator(dir.path() + "/logs"))
      lines += lines_of(file.path()).size();
    EXPECT_EQ(lines, 1U) << rotations;
    EXPECT_EQ(lines_of(rotations == 0 ? path : path + "." + std::to_string(rotations)).size(), 1U)
        << rotations;
  }
}

// ---- kill -9
// ---------------------------------------------------------------------------------------------------------

struct Shared {
  std::atomic<std::int64_t> begun{0}, settled{0};
};

// A child process serves without end, committing as often as it can, until it is killed.
[[noreturn]] void serve(const std::string& dir, Shared& shared) {
  Metrics metrics(2);
  Logger log = quiet();
  LedgerWriter::Options options;
  options.dir = dir;
  options.segment_bytes = 256 << 10;
  options.metric_shard = 1;
  options.commit_every = 1;
  options.sync_every = 100 * kMicrosecond;
  options.access_log = {.bytes = 50'000, .keep = 1'000};
  auto ledger = LedgerWriter::start(options, metrics, log);
  if (!ledger) ::_exit(3);
  JournalWriter& journal = (*ledger)->journal(0);
  std::vector<std::pair<Ticket, std::uint64_t>> open;
  for (std::uint64_t n = 1;; ++n) {
    const Ticket t = journal.begin(request(n, 1), kNoon);
    if (t == 0) {  // the writer thread is behind: not what is tested here
      --n;
      std::this_thread::yield();
      continue;
    }
    shared.begun.fetch_add(1);
    open.emplace_back(t, n);
    if (n % 7 == 0) continue;  // some stay open for a while
    while (!open.empty()) {
      const auto lost = metrics.counter("tidegate_journal_lost_records_total", "").total();
      journal.settle(open.back().first, request(open.back().second, 1), answer(1, 0), kNoon);
      if (metrics.counter("tidegate_journal_lost_records_total", "").total() != lost) {
        std::this_thread::yield();
        continue;
      }
      shared.settled.fetch_add(1);
      open.pop_back();
    }
    if (n % 50 == 0) std::this_thread::yield();
  }
}

TEST(Kill, NothingIsLostAndNothingCountedTwice) {
#ifdef TG_THREAD_SANITIZER
  GTEST_SKIP() << "the thread sanitizer cannot follow threads of a forked child";
#endif
  void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const TestDir dir;
  std::int64_t begun_before = 0;
  for (int round = 0; round < 12; ++round) {
    auto* shared = new (memory) Shared;
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) serve(dir.path(), *shared);
    // Killed at another moment each time, counted in requests and not in seconds.
    const std::int64_t kill_at = 200 + round * 431;
    const Nanos deadline = mono_now() + 60 * kSecond;
    while (shared->settled.load() < kill_at && mono_now() < deadline) std::this_thread::yield();
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << status;
    ASSERT_GE(shared->settled.load(), kill_at);

    recover_once(dir.path());
    const std::int64_t begun = begun_before + shared->begun.load();
    const UsageSums sums = sums_of(dir.path());
    // The child may have stored one record that it had no time to count.
    ASSERT_GE(sums.requests, begun) << "round " << round;
    ASSERT_LE(sums.requests, begun + 1) << "round " << round;
    ASSERT_EQ(sums.reported_in + sums.estimated_in, sums.requests) << "each request has one token";
    begun_before = sums.requests;

    // The access log has every one of them once.
    std::size_t lines = 0;
    for (const auto& file : std::filesystem::directory_iterator(dir.path() + "/logs"))
      lines += lines_of(file.path()).size();
    ASSERT_EQ(lines, static_cast<std::size_t>(sums.requests)) << "round " << round;
    recover_once(dir.path());
    ASSERT_EQ(sums_of(dir.path()).requests, sums.requests);
  }
  const auto requests = query_requests(dir.path(), {.limit = 1'000'000});
  ASSERT_TRUE(requests);
  EXPECT_EQ(static_cast<std::int64_t>(requests->rows.size()), begun_before);
  ::munmap(memory, sizeof(Shared));
}

}  // namespace
}  // namespace tg::ledger
