#include "http/chunked.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace tg::http {
namespace {

struct Decoded {
  std::string payload;
  ChunkDecoder::Status status = ChunkDecoder::Status::more;
  std::string rest;
};

Decoded decode(const std::vector<std::string>& pieces) {
  ChunkDecoder decoder;
  Decoded out;
  for (const std::string& piece : pieces) {
    std::string_view input = piece;
    while (!input.empty() && out.status == ChunkDecoder::Status::more) {
      std::string_view payload;
      out.status = decoder.next(input, payload);
      out.payload += payload;
    }
    out.rest += input;
  }
  return out;
}

TEST(Chunked, AnyCutGivesTheSameBytes) {
  const std::string text = "5\r\nhello\r\n1;ext=\"x\"\r\n \r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nNEXT";
  for (std::size_t a = 0; a <= text.size(); ++a) {
    for (std::size_t b = a; b <= text.size(); ++b) {
      const Decoded d = decode({text.substr(0, a), text.substr(a, b - a), text.substr(b)});
      ASSERT_EQ(d.status, ChunkDecoder::Status::done);
      ASSERT_EQ(d.payload, "hello 0123456789");
      ASSERT_EQ(d.rest, "NEXT");
    }
  }
}

TEST(Chunked, WhatIsNotChunkedIsRefused) {
  for (const char* bad :
       {"g\r\n", "\r\n", "-1\r\n", "+1\r\na\r\n", "0x1\r\na\r\n", " 1\r\na\r\n", "1 \r\na\r\n", "1\na\r\n",
        "1\r\nab\r\n", "1\r\na\n", "1\r\na\r\n\r\n", "1000000000000000\r\n", "0\r\n x\r\n", "0\r\n\n",
        "1;a\nb\r\nx\r\n", "0\r\nx\n", "0\r\nx\r\n", "0\r\n:x\r\n"}) {
    EXPECT_EQ(decode({bad}).status, ChunkDecoder::Status::error) << bad;
  }
  EXPECT_EQ(decode({"1;" + std::string(300, 'x') + "\r\na\r\n"}).status, ChunkDecoder::Status::error);
  EXPECT_EQ(decode({"0\r\nX: " + std::string(9000, 'x') + "\r\n\r\n"}).status, ChunkDecoder::Status::error);
}

TEST(Chunked, BoundaryIsBehindTheLastWholeChunk) {
  ChunkDecoder decoder;
  const std::string text = "3\r\nabc\r\n3\r\nde";
  std::string_view input = text;
  decoder.clear_boundary();
  std::string_view payload;
  while (!input.empty()) decoder.next(input, payload);
  EXPECT_EQ(decoder.boundary() - text.data(), 8);
  EXPECT_FALSE(decoder.at_boundary());
}

}  // namespace
}  // namespace tg::http
