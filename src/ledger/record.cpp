#include "ledger/record.hpp"

#include <cstring>

namespace tg::ledger {

std::string_view outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::complete:
      return "complete";
    case Outcome::cut:
      return "cut";
    case Outcome::client_gone:
      return "client_gone";
    case Outcome::refused:
      return "refused";
    case Outcome::upstream_error:
      return "upstream_error";
    case Outcome::timed_out:
      return "timed_out";
    case Outcome::interrupted:
      return "interrupted";
  }
  return "unknown";
}

std::uint32_t header_crc(const SegmentHeader& header) {
  return crc32c(std::as_bytes(std::span(&header, 1)).first(offsetof(SegmentHeader, crc)));
}

bool read_header(std::span<const std::byte> bytes, SegmentHeader& out) {
  if (bytes.size() < sizeof out) return false;
  std::memcpy(&out, bytes.data(), sizeof out);
  return out.magic == kSegmentMagic && out.version == kSegmentVersion && out.crc == header_crc(out);
}

RecordReader::Next RecordReader::next(RecordView& record) {
  const std::uint64_t left = offset_ <= bytes_.size() ? bytes_.size() - offset_ : 0;
  if (left < kRecordHead) return Next::pending;
  // Acquire: pairs with the worker's store of the word after the rest of the record.
  const std::uint64_t word =
      __atomic_load_n(reinterpret_cast<const std::uint64_t*>(bytes_.data() + offset_), __ATOMIC_ACQUIRE);
  if (word == 0) return Next::pending;
  const auto length = static_cast<std::uint32_t>(word);
  if (length <= kRecordHead || length > kMaxRecord || length % 8 != 0 || length > left) return Next::corrupt;
  const auto body = bytes_.subspan(offset_ + kRecordHead, length - kRecordHead);
  if (check_crc_ && crc32c(body, length) != word >> 32) return Next::corrupt;
  record.type = static_cast<RecordType>(body[0]);
  record.offset = offset_;
  record.body = body;
  if (record.type == RecordType::end) return Next::ended;
  offset_ += length;
  return Next::record;
}

namespace {
template <class Body>
bool copy_body(const RecordView& record, RecordType type, Body& out) {
  if (record.type != type || record.body.size() != sizeof out) return false;
  std::memcpy(&out, record.body.data(), sizeof out);
  return true;
}
}  // namespace

bool decode(const RecordView& record, BeginBody& out) { return copy_body(record, RecordType::begin, out); }

bool decode(const RecordView& record, SettleBody& out) {
  if (!copy_body(record, RecordType::settle, out)) return false;
  const auto outcome = static_cast<std::size_t>(out.outcome);
  return outcome >= 1 && outcome < kOutcomes;
}

bool decode(const RecordView& record, NameView& out) {
  NameBody head;
  if (record.type != RecordType::name || record.body.size() < sizeof head) return false;
  std::memcpy(&head, record.body.data(), sizeof head);
  const auto text = record.body.subspan(sizeof head);
  if (head.id == 0 || head.id > kMaxNames || head.length > text.size()) return false;
  out.id = head.id;
  out.text = {reinterpret_cast<const char*>(text.data()), head.length};
  return true;
}

}  // namespace tg::ledger
