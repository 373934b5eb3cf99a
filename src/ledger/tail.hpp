// One worker's journal as the writer thread sees it: makes its segments, follows the worker's records, syncs
// them to the disk and takes read pages out of memory. Writer thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "ledger/books.hpp"
#include "ledger/journal.hpp"
#include "ledger/segment.hpp"
#include "ledger/ticket_set.hpp"

namespace tg::ledger {

class Tail {
 public:
  struct Options {
    std::string dir;
    std::uint32_t worker = 0;
    std::uint64_t first_sequence = 1;
    std::uint64_t run = 0;
    std::uint64_t segment_bytes = 64 << 20;
  };
  Tail(Options options, JournalChannel& channel, Books& books);

  // Makes the next segment if the worker has none waiting and will need one soon. No error if there is
  // nothing to do.
  Result<> supply();
  bool needs_segment() const;

  // Applies every record that is there. Returns how many. An error (corrupt memory) is reported once.
  Result<std::size_t> drain();
  // fdatasync of what drain() saw since the last call.
  Result<> sync();
  // Takes all pages but the present one out of memory: before a long sleep.
  void rest();
  // The worker's JournalWriter is gone and drain() has seen its end: trims the last segment, removes an
  // unused one.
  void finish();

  Position position() const;
  std::uint32_t worker() const { return options_.worker; }
  JournalChannel& channel() { return channel_; }

 private:
  bool apply(const RecordView& record);
  void retire(std::uint64_t used);
  void ready_pages(std::uint64_t consumed);

  Options options_;
  JournalChannel& channel_;
  Books& books_;
  std::deque<std::unique_ptr<Segment>>
      segments_;  // the front is read; the others are the worker's or wait for it
  std::vector<std::unique_ptr<Segment>> spoiled_;  // unreadable ones that the worker may still hold
  SegmentNames names_;
  TicketSet open_;
  std::uint64_t next_sequence_;
  std::uint64_t offset_ = sizeof(SegmentHeader);  // in the front segment
  std::uint64_t dropped_ = 0, faulted_ = 0;
  bool dirty_ = false;
  bool corrupt_ = false;
};

}  // namespace tg::ledger
