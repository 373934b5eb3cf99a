#include "ledger/writer.hpp"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/files.hpp"
#include "base/id.hpp"
#include "ledger/books.hpp"
#include "ledger/recovery.hpp"
#include "ledger/tail.hpp"

namespace tg::ledger {

namespace {

constexpr Nanos kRetrySegment = kSecond;
constexpr Nanos kLogEvery = kMinute;
constexpr Nanos kLongSleep = kHour;
// A busy second with many keys is committed early: rows are cheap one by one but not in the hundred
// thousands.
constexpr std::size_t kManyRows = 20'000;

// Lets one line a minute through.
class Seldom {
 public:
  bool now(Nanos at) {
    if (last_ != 0 && at - last_ < kLogEvery) return false;
    last_ = at;
    return true;
  }

 private:
  Nanos last_ = 0;
};

// The first number no earlier run can have used.
std::uint64_t first_sequence(std::uint32_t worker, const std::vector<SegmentFile>& files,
                             const Rollups& rollups) {
  std::uint64_t last = 0;
  for (const SegmentFile& f : files) {
    if (f.worker == worker) last = std::max(last, f.sequence);
  }
  const auto known = rollups.positions().find(worker);
  if (known != rollups.positions().end()) last = std::max(last, ticket_sequence(known->second.at));
  return last + 1;
}

void trim_all(const Recovered& recovered, Logger& log) {
  for (const auto& [path, used] : recovered.trim) {
    if (auto r = trim_segment(path, used); !r)
      log.warn("cannot trim a journal segment", {field("error", r.error().message)});
  }
}

void log_recovered(const Recovered& r, Logger& log) {
  if (r.settled + r.interrupted + r.corrupt == 0) return;
  log.info("ledger recovered from the journal",
           {field("settled", r.settled), field("interrupted", r.interrupted),
            field("unreadable_segments", r.corrupt)});
}

}  // namespace

struct LedgerWriter::Impl {
  Impl(Options o, Books b, Metrics& m, Logger& l)
      : options(std::move(o)), books(std::move(b)), metrics(m), log(l), channels(options.workers) {}

  void run_thread();
  void recover_old();
  void step(bool stopping, bool flushing);
  bool drain_all();
  void supply_all();
  void sync_all();
  void commit(Nanos now);
  void report_losses(Nanos now);
  void retire_old_segments();
  bool short_of_segments() const;
  void answer_flush(std::uint64_t asked);
  void sleep();

  Options options;
  Books books;
  Metrics& metrics;
  Logger& log;
  std::uint64_t run = random_u64();
  Signal signal;
  std::vector<JournalChannel> channels;
  std::deque<Tail> tails;
  std::vector<std::unique_ptr<JournalWriter>> journals;
  std::vector<SegmentFile> old_files;
  std::vector<std::pair<std::uint32_t, Position>> old_positions;  // of workers that this run does not have
  Recovered recovered;
  bool old_pending = true;  // until the first commit the old segments are needed
  Counter commit_failures, corrupt_segments, interrupted_requests, dropped_lines;

  // Writer thread.
  Nanos last_commit = 0, last_supply_failure = 0, last_retention = 0, last_sync = 0;
  bool supply_failed = false, dirty = false, progress = false;
  std::uint64_t lines_dropped_seen = 0;
  std::int64_t lost_seen = 0;
  Seldom log_commit, log_supply, log_lost, log_sync, log_lines;
  Result<> last_result;

  // Between the control thread and the writer thread; never taken by a worker.
  std::mutex mutex;
  std::condition_variable done;
  std::uint64_t flush_asked = 0, flush_answered = 0;
  Result<> flush_result;
  bool stop_asked = false;
  std::thread thread;
};

void LedgerWriter::Impl::recover_old() {
  recovered = recover(old_files, books, log);
  log_recovered(recovered, log);
  interrupted_requests.add(options.metric_shard, static_cast<std::int64_t>(recovered.interrupted));
  corrupt_segments.add(options.metric_shard, static_cast<std::int64_t>(recovered.corrupt));
  // The first commit moves the positions past the old segments, together with what they held.
  commit(mono_now());
}

bool LedgerWriter::Impl::drain_all() {
  std::size_t count = 0;
  for (Tail& tail : tails) {
    auto n = tail.drain();
    if (n) {
      count += *n;
    } else {
      corrupt_segments.add(options.metric_shard);
      log.error("journal", n.error());
    }
  }
  dirty = dirty || count > 0;
  return count > 0;
}

bool LedgerWriter::Impl::short_of_segments() const {
  return std::any_of(tails.begin(), tails.end(), [](const Tail& t) { return t.needs_segment(); });
}

void LedgerWriter::Impl::supply_all() {
  const Nanos now = mono_now();
  if (supply_failed && now - last_supply_failure < kRetrySegment) return;
  supply_failed = false;
  for (Tail& tail : tails) {
    if (auto r = tail.supply(); !r) {
      supply_failed = true;
      last_supply_failure = now;
      if (log_supply.now(now))
        log.error("no journal segment: usage is not recorded once the present one is full", r.error());
    }
  }
}

void LedgerWriter::Impl::sync_all() {
  if (!dirty) return;
  dirty = false;
  last_sync = mono_now();
  for (Tail& tail : tails) {
    if (auto r = tail.sync(); !r && log_sync.now(last_sync)) log.error("journal not synced", r.error());
  }
}

void LedgerWriter::Impl::commit(Nanos now) {
  if (auto r = books.flush_log(); !r && log_lines.now(now)) log.error("access log", r.error());
  if (const std::uint64_t dropped = books.access_log().dropped_lines(); dropped != lines_dropped_seen) {
    dropped_lines.add(options.metric_shard, static_cast<std::int64_t>(dropped - lines_dropped_seen));
    lines_dropped_seen = dropped;
  }
  std::vector<std::pair<std::uint32_t, Position>> positions = old_positions;
  for (const Tail& tail : tails) positions.emplace_back(tail.worker(), tail.position());
  last_result = books.commit(positions);
  last_commit = now;
  if (last_result) {
    if (old_pending) trim_all(recovered, log);
    old_pending = false;
    old_positions.clear();
    return;
  }
  commit_failures.add(options.metric_shard);
  if (log_commit.now(now)) log.error("usage sums not stored, will try again", last_result.error());
}

void LedgerWriter::Impl::report_losses(Nanos now) {
  std::int64_t records = 0;
  std::int64_t tokens = 0;
  for (const JournalChannel& c : channels) {
    records += c.lost_records.load(std::memory_order_relaxed);
    tokens += c.lost_tokens.load(std::memory_order_relaxed);
  }
  if (records == lost_seen || !log_lost.now(now)) return;
  log.error("journal records lost: no room for a segment",
            {field("records", records - lost_seen), field("records_in_all", records),
             field("tokens_in_all", tokens)});
  lost_seen = records;
}

void LedgerWriter::Impl::retire_old_segments() {
  auto files = list_segments(options.dir);
  if (!files || old_pending) return;
  const std::int64_t now = utc_now_ns();
  for (const SegmentFile& f : *files) {
    std::uint64_t needed = UINT64_MAX;  // segments from this one on are still read
    for (const Tail& t : tails) {
      if (t.worker() == f.worker) needed = ticket_sequence(std::min(t.position().open, t.position().at));
    }
    struct stat info{};
    if (f.sequence >= needed || ::stat(f.path.c_str(), &info) != 0) continue;
    const std::int64_t written =
        static_cast<std::int64_t>(info.st_mtim.tv_sec) * kSecond + info.st_mtim.tv_nsec;
    if (now - written > options.retention) ::unlink(f.path.c_str());
  }
}

void LedgerWriter::Impl::answer_flush(std::uint64_t asked) {
  const std::lock_guard lock(mutex);
  if (asked == flush_answered) return;
  flush_answered = asked;
  flush_result = last_result;
  done.notify_all();
}

void LedgerWriter::Impl::step(bool stopping, bool flushing) {
  progress = drain_all();
  supply_all();
  Nanos now = mono_now();
  if (dirty && (stopping || now - last_sync >= options.sync_every)) sync_all();
  if (progress) {
    if (auto r = books.flush_log(); !r && log_lines.now(now)) log.error("access log", r.error());
  }
  now = mono_now();
  const bool due = now - last_commit >= options.commit_every || books.rollups().rows() >= kManyRows;
  if (stopping || flushing || (books.pending() && due)) commit(now);
  report_losses(now);
  if (last_retention == 0 || now - last_retention >= kHour) {
    last_retention = now;
    retire_old_segments();
    if (auto r = books.compact(utc_now_ns() - options.minutes); !r && log_commit.now(now))
      log.error("old usage sums not joined into days, will try again", r.error());
  }
}

void LedgerWriter::Impl::sleep() {
  const Nanos now = mono_now();
  if (progress || dirty) {
    // Under load the workers need not wake anybody: the next look comes by itself.
    signal.announce_nap();
    signal.wait(options.sync_every);
    return;
  }
  if (!books.pending()) {
    for (Tail& tail : tails) tail.rest();
  }
  signal.announce_sleep();
  if (drain_all()) {  // stored between the last look and the announcement
    progress = true;
    signal.cancel();
    return;
  }
  Nanos timeout = kLongSleep;
  if (books.pending()) timeout = std::max<Nanos>(last_commit + options.commit_every - now, kMillisecond);
  if (short_of_segments()) timeout = std::min(timeout, kRetrySegment);
  signal.wait(timeout);
  // The request whose record woke us still runs, maybe on this core: reading and syncing at once would cost
  // it more than everything else here. Half the sync bound later there is more to do at the same price.
  signal.announce_nap();
  signal.wait(options.sync_every / 2);
}

void LedgerWriter::Impl::run_thread() {
  ::pthread_setname_np(::pthread_self(), "ledger");
  supply_all();
  recover_old();
  for (;;) {
    bool stopping = false;
    std::uint64_t asked = 0;
    {
      const std::lock_guard lock(mutex);
      stopping = stop_asked;
      asked = flush_asked;
    }
    step(stopping, asked != flush_answered);
    answer_flush(asked);
    if (stopping) break;
    sleep();
  }
}

LedgerWriter::LedgerWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LedgerWriter::~LedgerWriter() { stop(); }

Result<std::unique_ptr<LedgerWriter>> LedgerWriter::start(Options options, Metrics& metrics, Logger& log) {
  if (auto r = make_directories(options.dir + "/journal"); !r) return std::unexpected(r.error());
  auto files = list_segments(options.dir);
  if (!files) return std::unexpected(files.error());
  auto books = Books::open(options.dir, options.access_log);
  if (!books) return std::unexpected(books.error());

  auto impl = std::make_unique<Impl>(std::move(options), std::move(*books), metrics, log);
  Impl& i = *impl;
  i.old_files = std::move(*files);
  i.commit_failures = metrics.counter("tidegate_ledger_commit_failures_total",
                                      "Commits of the usage sums that failed and were tried again.");
  i.corrupt_segments = metrics.counter("tidegate_journal_corrupt_segments_total",
                                       "Journal segments of which a part cannot be read.");
  i.interrupted_requests = metrics.counter("tidegate_ledger_interrupted_requests_total",
                                           "Requests of an earlier run that its death interrupted.");
  i.dropped_lines = metrics.counter("tidegate_access_log_dropped_lines_total",
                                    "Access log lines that could not be written.");

  const std::size_t workers = i.options.workers;
  for (std::uint32_t w = 0; w < workers; ++w) {
    i.tails.emplace_back(Tail::Options{i.options.dir, w, first_sequence(w, i.old_files, i.books.rollups()),
                                       i.run, i.options.segment_bytes},
                         i.channels[w], i.books);
    i.journals.push_back(std::make_unique<JournalWriter>(w, i.channels[w], i.signal, metrics));
  }
  for (const SegmentFile& f : i.old_files) {
    if (f.worker < workers || (!i.old_positions.empty() && i.old_positions.back().first == f.worker))
      continue;
    const Ticket end =
        make_ticket(first_sequence(f.worker, i.old_files, i.books.rollups()), sizeof(SegmentHeader));
    i.old_positions.emplace_back(f.worker, Position{end, end});
  }
  i.supply_all();  // before the first request, so that none is lost
  std::unique_ptr<LedgerWriter> writer(new LedgerWriter(std::move(impl)));
  i.thread = std::thread([&i] { i.run_thread(); });
  return writer;
}

JournalWriter& LedgerWriter::journal(std::size_t worker) { return *impl_->journals[worker]; }
std::uint64_t LedgerWriter::run() const { return impl_->run; }

Result<> LedgerWriter::flush() {
  Impl& i = *impl_;
  std::unique_lock lock(i.mutex);
  if (!i.thread.joinable() || i.stop_asked) return fail("ledger_stopped", "the ledger has stopped");
  const std::uint64_t mine = ++i.flush_asked;
  i.signal.urgent();
  i.done.wait(lock, [&] { return i.flush_answered >= mine; });
  return i.flush_result;
}

void LedgerWriter::stop() {
  Impl& i = *impl_;
  if (!i.thread.joinable()) return;
  i.journals.clear();  // each stores its end record
  {
    const std::lock_guard lock(i.mutex);
    i.stop_asked = true;
  }
  i.signal.urgent();
  i.thread.join();
  for (Tail& tail : i.tails) tail.finish();
}

Result<> recover_ledger(const std::string& dir, Logger& log) {
  auto files = list_segments(dir);
  if (!files) return std::unexpected(files.error());
  auto books = Books::open(dir, {});
  if (!books) return std::unexpected(books.error());
  const Recovered recovered = recover(*files, *books, log);
  log_recovered(recovered, log);
  std::vector<std::pair<std::uint32_t, Position>> positions;
  for (const SegmentFile& f : *files) {
    if (!positions.empty() && positions.back().first == f.worker) continue;
    const Ticket end = make_ticket(first_sequence(f.worker, *files, books->rollups()), sizeof(SegmentHeader));
    positions.emplace_back(f.worker, Position{end, end});
  }
  if (auto r = books->flush_log(); !r) return r;
  if (auto r = books->commit(positions); !r) return r;
  trim_all(recovered, log);
  return {};
}

}  // namespace tg::ledger
