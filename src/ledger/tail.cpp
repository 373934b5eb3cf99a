#include "ledger/tail.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/clock.hpp"

namespace tg::ledger {

namespace {
constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kLeastAhead = 64 << 10;
constexpr std::uint64_t kMostAhead = 8 * kMiB;
// A begin this many segments back has lost its settle (full disk). It is given up, else it would hold every
// later segment on the disk and make recovery read them all.
constexpr std::uint64_t kOpenSegments = 64;
}  // namespace

Tail::Tail(Options options, JournalChannel& channel, Books& books)
    : options_(std::move(options)),
      channel_(channel),
      books_(books),
      names_(books.segment_names()),
      next_sequence_(options_.first_sequence) {}

bool Tail::needs_segment() const {
  if (channel_.next.load(std::memory_order_acquire) != nullptr) return false;
  // None is waiting: the last of ours is the one the worker fills. Halfway through it is early enough, and an
  // idle program holds one segment per worker, not two.
  return segments_.size() != 1 || corrupt_ || offset_ > segments_.front()->size() / 2;
}

Result<> Tail::supply() {
  if (!needs_segment()) return {};
  SegmentHeader header;
  header.worker = options_.worker;
  header.sequence = next_sequence_;
  header.run = options_.run;
  header.created_utc_ns = utc_now_ns();
  auto made = Segment::create(segment_path(options_.dir, options_.worker, next_sequence_), header,
                              options_.segment_bytes);
  if (!made) return std::unexpected(made.error());
  ++next_sequence_;
  segments_.push_back(std::move(*made));
  channel_.next.store(segments_.back().get(), std::memory_order_release);
  return {};
}

bool Tail::apply(const RecordView& record) {
  switch (record.type) {
    case RecordType::name: {
      NameView name;
      if (!decode(record, name)) return false;
      names_.set(name.id, books_.name(name.text));
      return true;
    }
    case RecordType::begin:
      open_.insert(make_ticket(segments_.front()->header().sequence, record.offset));
      return true;
    case RecordType::settle: {
      SettleBody settle;
      if (!decode(record, settle)) return false;
      if (settle.begun_at != 0) open_.erase(settle.begun_at);
      books_.apply(settle, names_.of(settle));
      return true;
    }
    default:
      return true;  // of a later version
  }
}

Result<std::size_t> Tail::drain() {
  std::size_t count = 0;
  while (!segments_.empty() && !corrupt_) {
    Segment& segment = *segments_.front();
    const std::uint64_t from = offset_;
    // Without CRC: these bytes were written by this process, and reading them again would cost as much as all
    // the rest.
    RecordReader reader(segment.bytes(), offset_, false);
    const RecordReader::Next next = reader.each([&](const RecordView& record) {
      const bool good = apply(record);
      count += good ? 1 : 0;
      return good;
    });
    offset_ = reader.offset();
    dirty_ = dirty_ || offset_ > from;
    if (next == RecordReader::Next::ended) {
      retire(offset_ + kEndRecord);
      continue;
    }
    if (next == RecordReader::Next::corrupt) {
      corrupt_ = true;
      return fail("journal_corrupt", fmt::format("{}: no record at {}", segment.path(), reader.offset()));
    }
    ready_pages(offset_ - from);
    break;
  }
  // A corrupt segment is left when the worker has left it. It may be storing its end record: keep the memory.
  if (corrupt_ && segments_.size() > 1 && channel_.next.load(std::memory_order_acquire) == nullptr) {
    spoiled_.push_back(std::move(segments_.front()));
    segments_.pop_front();
    offset_ = sizeof(SegmentHeader);
    dropped_ = faulted_ = 0;
    names_.clear();
    corrupt_ = false;
  }
  return count;
}

void Tail::retire(std::uint64_t used) {
  // Errors of the disk show at the next sync() of a live segment; the records stand in the kernel's pages all
  // the same.
  if (dirty_) {
    [[maybe_unused]] const auto synced = segments_.front()->sync();
  }
  if (used < segments_.front()->size()) {
    [[maybe_unused]] const auto trimmed = trim_segment(segments_.front()->path(), used);
  }
  const std::uint64_t sequence = segments_.front()->header().sequence;
  if (sequence > kOpenSegments) open_.erase_before(make_ticket(sequence - kOpenSegments, 0));
  segments_.pop_front();
  offset_ = sizeof(SegmentHeader);
  dropped_ = faulted_ = 0;
  dirty_ = false;
  names_.clear();
}

void Tail::ready_pages(std::uint64_t consumed) {
  Segment& segment = *segments_.front();
  if (offset_ - dropped_ >= kMiB) {
    const std::uint64_t to = offset_ / kMiB * kMiB;
    segment.drop(dropped_, to);
    dropped_ = to;
  }
  if (consumed == 0) return;
  const std::uint64_t ahead = std::clamp(2 * consumed, kLeastAhead, kMostAhead);
  if (faulted_ < offset_ + ahead / 2) {
    const std::uint64_t to = std::min(offset_ + ahead, segment.size());
    segment.prefault(std::max(faulted_, offset_), to);
    faulted_ = to;
  }
}

Result<> Tail::sync() {
  if (!dirty_ || segments_.empty()) return {};
  dirty_ = false;
  return segments_.front()->sync();
}

void Tail::rest() {
  if (segments_.empty()) return;
  Segment& segment = *segments_.front();
  segment.drop(dropped_, offset_);
  dropped_ = offset_ / 4096 * 4096;
  segment.drop(offset_, faulted_);
  faulted_ = 0;
}

void Tail::finish() {
  // A segment that was never taken holds nothing.
  if (channel_.next.exchange(nullptr, std::memory_order_acquire) != nullptr) {
    ::unlink(segments_.back()->path().c_str());
    segments_.pop_back();
  }
}

Position Tail::position() const {
  Position p;
  p.at = segments_.empty() ? make_ticket(next_sequence_, sizeof(SegmentHeader))
                           : make_ticket(segments_.front()->header().sequence, offset_);
  const Ticket oldest = open_.oldest();
  p.open = oldest != 0 ? oldest : p.at;
  return p;
}

}  // namespace tg::ledger
