// The ledger's thread: follows all journals, keeps the sums in SQLite exact, writes the access log, syncs the
// journals every 100 ms while something is stored, makes segments ahead of need and removes those past the
// retention. Sleeps without a timer (but one look an hour) when nothing happens.
//
//   auto ledger = LedgerWriter::start({.dir = dir, .workers = n, .metric_shard = s}, metrics, log);
//   JournalWriter& j = (*ledger)->journal(i);     // for worker i
//   (*ledger)->flush();                           // before a query of the sums
//   (*ledger)->stop();                            // after the workers' threads have ended
//
// The caller holds the lock of DIR: two writers of one directory must not be. start() returns as soon as the
// workers can store records; what an earlier run left is applied by the thread meanwhile, flush() waits for
// that too.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/metrics.hpp"
#include "ledger/access_log.hpp"
#include "ledger/journal.hpp"

namespace tg::ledger {

class LedgerWriter {
 public:
  struct Options {
    std::string dir = {};
    std::size_t workers = 1;
    std::size_t metric_shard = 0;  // of the writer thread; worker i counts in shard i
    std::uint64_t segment_bytes = 64 << 20;
    Nanos sync_every = 100 * kMillisecond;  // what power loss can take
    Nanos commit_every =
        5 * kSecond;  // what recovery has to read again; rows of many keys are worth gathering
    Nanos retention = 30 * 24 * kHour;  // of segments
    Nanos minutes = 90 * 24 * kHour;    // older sums are kept by the day
    AccessLog::Options access_log = {};
  };

  // Errors: database_*, cannot_create, cannot_write. A full disk is none: the journals begin when there is
  // room.
  static Result<std::unique_ptr<LedgerWriter>> start(Options options, Metrics& metrics, Logger& log);
  ~LedgerWriter();  // stops

  JournalWriter& journal(std::size_t worker);
  std::uint64_t run() const;  // stands in the header of this run's segments

  // Any thread but the workers'. Returns when everything stored before the call is in the database. Error:
  // why it is not.
  Result<> flush();
  void stop();

  struct Impl;

 private:
  explicit LedgerWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// What `usage` does first when no tidegate runs: applies what the last run left, without starting anything.
// The caller holds the lock of DIR.
Result<> recover_ledger(const std::string& dir, Logger& log);

}  // namespace tg::ledger
