// Any bytes as a segment: the reader must neither touch what is not there nor give out what does not decode.
// The first byte chooses between bytes as they are and bytes whose checksums were made right, so that the
// decoders are reached too.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "ledger/record.hpp"

namespace {

using namespace tg::ledger;

void require(bool condition) {
  if (!condition) std::abort();
}

// Makes the checksum of every record right as far as lengths allow to walk.
void mend(std::vector<std::uint64_t>& words, std::size_t bytes) {
  auto* data = reinterpret_cast<std::byte*>(words.data());
  for (std::size_t at = sizeof(SegmentHeader); at + kRecordHead <= bytes;) {
    std::uint32_t length = 0;
    std::memcpy(&length, data + at, sizeof length);
    if (length <= kRecordHead || length % 8 != 0 || length > bytes - at) return;
    const std::uint64_t word = head_word({data + at + kRecordHead, length - kRecordHead});
    std::memcpy(data + at, &word, sizeof word);
    at += length;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const bool mended = data[0] % 2 == 1;
  ++data;
  --size;
  std::vector<std::uint64_t> words((size + 7) / 8);
  if (size > 0) std::memcpy(words.data(), data, size);
  if (mended) mend(words, size);
  const auto bytes = std::as_bytes(std::span(words)).first(size);

  SegmentHeader header;
  static_cast<void>(read_header(bytes, header));
  RecordReader reader(bytes, sizeof header, true);
  RecordView record;
  std::uint64_t last = 0;
  RecordReader::Next next = reader.next(record);
  for (; next == RecordReader::Next::record; next = reader.next(record)) {
    require(record.offset >= sizeof header && record.offset > last && reader.offset() > record.offset);
    require(record.body.data() + record.body.size() <= bytes.data() + bytes.size());
    last = record.offset;
    NameView name;
    if (decode(record, name)) {
      require(name.id >= 1 && name.id <= kMaxNames && name.text.size() <= record.body.size());
      std::uint32_t sum = 0;
      for (const char c : name.text) sum += static_cast<unsigned char>(c);
      require(sum <= 255 * name.text.size());
    }
    BeginBody begin;
    static_cast<void>(decode(record, begin));
    SettleBody settle;
    if (decode(record, settle)) require(outcome_name(settle.outcome) != "unknown");
  }
  // The walk ends the same way when it is asked again.
  const std::uint64_t end = reader.offset();
  require(reader.next(record) == next && reader.offset() == end);
  // Without the check of the sums the reader gives out at least as much, and stays inside as well.
  RecordReader trusting(bytes, sizeof header, false);
  while (trusting.next(record) == RecordReader::Next::record) {
  }
  require(trusting.offset() >= end &&
          trusting.offset() <= std::max<std::uint64_t>(bytes.size(), sizeof header));
  return 0;
}
