// A worker's side of the journal. One object per worker, used by that worker alone: no lock, no allocation,
// no system call (but one wake-up after an idle time and one per segment); a record is built on the stack and
// copied once into mapped memory. The wake-up after an idle time may be put off: hold_wakes().
//
//   Ticket t = journal.begin(request, utc);        // at dispatch
//   journal.settle(t, request, answer, utc);       // before the last answer byte goes to the kernel
//
// A request that is refused before dispatch has no begin: settle(0, …) with Outcome::refused.
// No room for a segment on the disk: the calls return as always, the record is lost and counted (metrics
// tidegate_journal_lost_records_total and _tokens_total; the writer thread logs it once a minute).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "base/id.hpp"
#include "base/metrics.hpp"
#include "ledger/record.hpp"
#include "ledger/segment.hpp"
#include "ledger/signal.hpp"

namespace tg::ledger {

// Who asks what of whom. The views need to live during the call only. `model` is the backend's model, `route`
// what the client wrote, `operation` for example "chat".
struct RequestInfo {
  UlidBytes id{};
  std::int64_t key = 0;  // KeyEntry::id
  std::string_view tenant, model, route, backend, operation;
  bool stream = false;
  std::int64_t prompt_estimate = 0;  // tokens
};

struct AnswerInfo {
  int status = 0;  // as the client saw it; 0 = none was sent
  Outcome outcome = Outcome::complete;
  std::string_view reason;  // error code of a refusal or failure, else empty
  std::int64_t tokens_in = 0, tokens_out = 0, tokens_cached = 0;
  bool reported = false;                      // by upstream; false = estimated
  std::int64_t first_byte_ns = 0;             // from arrival to the first answer byte; 0 = none
  std::int64_t total_ns = 0;                  // from arrival to the end
  std::uint64_t bytes_in = 0, bytes_out = 0;  // request and answer body
  int retries = 0;                            // times it was sent again
};

// What a worker and the writer thread share.
struct alignas(64) JournalChannel {
  std::atomic<Segment*> next{
      nullptr};  // prepared by the writer, taken by the worker; owned by the writer throughout
  std::atomic<std::int64_t> lost_records{0};
  std::atomic<std::int64_t> lost_tokens{0};
};

class JournalWriter {
 public:
  // `shard`: the worker's metrics shard. `channel` and `signal` outlive this object.
  JournalWriter(std::size_t shard, JournalChannel& channel, Signal& signal, Metrics& metrics);
  // Ends the segment. The worker's thread must have stopped.
  ~JournalWriter();
  JournalWriter(const JournalWriter&) = delete;
  JournalWriter& operator=(const JournalWriter&) = delete;

  // Returns the ticket for settle(), 0 if the record was lost.
  Ticket begin(const RequestInfo& request, std::int64_t utc_ns);
  void settle(Ticket ticket, const RequestInfo& request, const AnswerInfo& answer, std::int64_t utc_ns);

  // From now on records are stored only, and the caller wakes the writer thread by announce(), soon: waking a
  // thread costs more than the record, and must not stand before the bytes that somebody waits for.
  void hold_wakes() { holds_wakes_ = true; }
  void announce() {
    if (std::exchange(unannounced_, false)) signal_.work();
  }

 private:
  void stored() {
    unannounced_ = true;
    if (!holds_wakes_) announce();
  }
  // Names of the present segment: found by their bytes. A slot is the number of a name, 0 = free.
  struct Names {
    static constexpr std::size_t kSlots = 2 * kMaxNames;
    static constexpr std::size_t kTextBytes = 32 * 1024;
    struct Name {
      std::uint32_t at = 0;
      std::uint32_t length = 0;
    };
    std::array<std::uint16_t, kSlots> slots{};
    std::array<Name, kMaxNames + 1> names{};
    std::unique_ptr<char[]> text{new char[kTextBytes]};
    std::uint32_t used = 0;
    std::uint16_t count = 0;
    std::string_view of(NameId id) const { return {text.get() + names[id].at, names[id].length}; }
  };
  enum Field { kTenant, kModel, kRoute, kBackend, kOperation, kReason, kFields };

  bool make_room();
  bool change_segment();
  NameId intern(Field field, std::string_view name);
  NameId find_or_add(std::string_view name);
  template <class Body>
  std::uint64_t append(const Body& body);
  std::uint64_t append_bytes(std::span<const std::byte> rest);
  void lose(std::int64_t tokens);

  JournalChannel& channel_;
  Signal& signal_;
  std::size_t shard_;
  Counter lost_records_, lost_tokens_;
  std::byte* data_ = nullptr;
  std::uint64_t sequence_ = 0;
  std::uint64_t offset_ = 0;
  std::uint64_t limit_ = 0;  // no record may begin at or after this
  bool names_full_ = false;
  bool holds_wakes_ = false;
  bool unannounced_ = false;
  std::array<NameId, kFields> last_{};  // most requests carry the names of the one before
  Names names_;
};

}  // namespace tg::ledger
