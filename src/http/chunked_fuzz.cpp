// Any bytes, cut at the place the first byte names: the decoder sees the same payload whole and in two
// pieces.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "http/chunked.hpp"

namespace {
using tg::http::ChunkDecoder;

ChunkDecoder::Status feed(ChunkDecoder& decoder, std::string_view input, std::string& payload,
                          std::size_t& left) {
  auto status = ChunkDecoder::Status::more;
  while (!input.empty() && status == ChunkDecoder::Status::more) {
    std::string_view part;
    status = decoder.next(input, part);
    payload += part;
  }
  left = input.size();
  return status;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t cut = text.empty() ? 0 : data[0] % text.size();
  ChunkDecoder whole;
  std::string expected;
  std::size_t left = 0;
  const auto first = feed(whole, text, expected, left);
  ChunkDecoder pieces;
  std::string got;
  std::size_t left_b = 0;
  auto second = feed(pieces, text.substr(0, cut), got, left_b);
  if (second == ChunkDecoder::Status::more) second = feed(pieces, text.substr(cut), got, left_b);
  if (first != second || got != expected) std::abort();
  return 0;
}
