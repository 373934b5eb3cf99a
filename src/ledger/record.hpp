// The bytes of a journal segment: one header, then records, each a multiple of 8 bytes, in the machine's byte
// order (little-endian only). A record begins with one 8-byte word, its length (head included) in the low
// half and the CRC-32C of the rest (seeded with the length) in the high half. The word is stored last and in
// one piece, so a reader in this or another process sees a whole record or none. A zero word is the end of
// what was written.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/id.hpp"

namespace tg::ledger {

static_assert(std::endian::native == std::endian::little, "the journal's bytes are little-endian");

enum class RecordType : std::uint8_t { name = 1, begin = 2, settle = 3, end = 4 };

// How a request ended. Stored as a number: append only.
enum class Outcome : std::uint8_t {
  complete = 1,        // answered in full, whatever the upstream's status
  cut = 2,             // the answer broke off after bytes of it were relayed
  client_gone = 3,     // the client left first
  refused = 4,         // by us: key, limit, body, hold bounds
  upstream_error = 5,  // no usable answer from any upstream
  timed_out = 6,
  interrupted = 7,  // this program died between begin and settle
};
inline constexpr std::size_t kOutcomes = 8;  // one more than the last
std::string_view outcome_name(Outcome outcome);

using NameId = std::uint16_t;                      // within one segment; 0 = the empty name
inline constexpr NameId kMaxNames = 512;           // per segment, then the worker changes the segment
inline constexpr NameId kOtherName = 0xFFFF;       // a name that found no room
inline constexpr std::size_t kMaxNameBytes = 200;  // longer ones are cut

inline constexpr std::uint64_t kSegmentMagic = 0x314C4E524A475454;  // "TTGJRNL1" read as a number
inline constexpr std::uint32_t kSegmentVersion = 1;

struct SegmentHeader {
  std::uint64_t magic = kSegmentMagic;
  std::uint32_t version = kSegmentVersion;
  std::uint32_t worker = 0;
  std::uint64_t sequence = 0;  // rises per worker, across runs
  std::uint64_t run = 0;       // random, one per start of the program
  std::int64_t created_utc_ns = 0;
  std::uint64_t bytes = 0;  // size of the file when it was made
  std::uint64_t unused = 0;
  std::uint32_t unused2 = 0;
  std::uint32_t crc = 0;  // CRC-32C of all above
};
static_assert(sizeof(SegmentHeader) == 64);
std::uint32_t header_crc(const SegmentHeader& header);

struct BeginBody {
  RecordType type = RecordType::begin;
  std::uint8_t stream = 0;
  NameId tenant = 0, model = 0, route = 0, backend = 0, operation = 0;
  std::uint32_t unused = 0;
  std::int64_t utc_ns = 0;
  std::int64_t key = 0;
  UlidBytes id{};
  std::int64_t prompt_estimate = 0;
};
static_assert(sizeof(BeginBody) == 56);

struct SettleBody {
  RecordType type = RecordType::settle;
  std::uint8_t stream = 0;
  NameId tenant = 0, model = 0, route = 0, backend = 0, operation = 0;
  NameId reason = 0;         // error code of a refusal or failure
  std::uint16_t status = 0;  // as the client saw it; 0 = none was sent
  std::int64_t utc_ns = 0;
  std::int64_t key = 0;
  UlidBytes id{};
  std::uint64_t begun_at = 0;  // ticket of the begin record; 0 = never dispatched
  std::int64_t tokens_in = 0, tokens_out = 0, tokens_cached = 0;
  std::int64_t first_byte_ns = 0, total_ns = 0;
  std::uint64_t bytes_in = 0, bytes_out = 0;
  Outcome outcome = Outcome::complete;
  std::uint8_t reported = 0;  // 1: tokens as upstream reported them, 0: estimated
  std::uint8_t retries = 0;
  std::array<std::uint8_t, 5> unused{};
};
static_assert(sizeof(SettleBody) == 120);

struct NameBody {
  RecordType type = RecordType::name;
  std::uint8_t unused = 0;
  NameId id = 0;
  std::uint32_t length = 0;
  // then the bytes, padded with zeros
};
static_assert(sizeof(NameBody) == 8);

struct EndBody {
  RecordType type = RecordType::end;
  std::array<std::uint8_t, 7> unused{};
};
static_assert(sizeof(EndBody) == 8);

inline constexpr std::size_t kRecordHead = 8;
inline constexpr std::size_t kMaxRecord = kRecordHead + sizeof(NameBody) + kMaxNameBytes;
static_assert(kMaxRecord % 8 == 0 && kMaxRecord >= kRecordHead + sizeof(SettleBody));
inline constexpr std::size_t kEndRecord = kRecordHead + sizeof(EndBody);

// Place of a record: segment number and offset. 0 = none.
using Ticket = std::uint64_t;
inline Ticket make_ticket(std::uint64_t sequence, std::uint64_t offset) { return sequence << 32 | offset; }
inline std::uint64_t ticket_sequence(Ticket t) { return t >> 32; }
inline std::uint64_t ticket_offset(Ticket t) { return t & 0xFFFFFFFF; }

// The head word of a record whose bytes after the head are `rest`.
inline std::uint64_t head_word(std::span<const std::byte> rest) {
  const auto length = static_cast<std::uint32_t>(rest.size() + kRecordHead);
  return static_cast<std::uint64_t>(crc32c(rest, length)) << 32 | length;
}

// One record as it lies in the segment.
struct RecordView {
  RecordType type{};
  std::uint64_t offset = 0;         // of its head
  std::span<const std::byte> body;  // without the head
};

// Walks the records of one segment. Any bytes are safe to read: nothing outside `bytes` is touched. Not
// thread safe, but the segment may be appended to meanwhile.
class RecordReader {
 public:
  enum class Next {
    record,
    pending,  // nothing written here yet (or never, if the program died)
    ended,    // the end record: go on with the next segment
    corrupt,  // not a record: what follows cannot be read
  };

  // `bytes`: the whole segment, 8-byte aligned. `check_crc`: off only for memory that this process writes
  // itself.
  RecordReader(std::span<const std::byte> bytes, std::uint64_t offset, bool check_crc)
      : bytes_(bytes), offset_(offset), check_crc_(check_crc) {}

  Next next(RecordView& record);
  // Hands every record that is there to `apply`, which says false for one that it cannot take: it is corrupt,
  // and offset() stays at it. Returns why no further one came; never `record`.
  template <class Apply>
  Next each(Apply&& apply) {
    RecordView record;
    for (;;) {
      const Next next_is = next(record);
      if (next_is != Next::record) return next_is;
      if (apply(record)) continue;
      offset_ = record.offset;
      return Next::corrupt;
    }
  }
  std::uint64_t offset() const { return offset_; }  // of the next record

 private:
  std::span<const std::byte> bytes_;
  std::uint64_t offset_;
  bool check_crc_;
};

// Typed contents; false if the body is not of that form (then the record is corrupt).
bool decode(const RecordView& record, BeginBody& out);
bool decode(const RecordView& record, SettleBody& out);
struct NameView {
  NameId id = 0;
  std::string_view text;  // into the segment
};
bool decode(const RecordView& record, NameView& out);

// False if the bytes do not begin with a header of this version.
bool read_header(std::span<const std::byte> bytes, SegmentHeader& out);

}  // namespace tg::ledger
