#include "runtime/gguf.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <limits>

#include "runtime/test_support.hpp"

namespace tg::runtime {
namespace {

// Writes heads as the format describes them.
class Head {
 public:
  template <class T>
  Head& raw(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Head& text(std::string_view s) {
    raw<std::uint64_t>(s.size());
    bytes_ += s;
    return *this;
  }
  Head& key(std::string_view name, std::uint32_t type) {
    ++keys_;
    return text(name).raw(type);
  }
  Head& u32(std::string_view name, std::uint32_t value) { return key(name, 4).raw(value); }
  Head& str(std::string_view name, std::string_view value) { return key(name, 8).text(value); }
  std::string whole(std::uint32_t version = 3) const {
    Head start;
    start.bytes_ = "GGUF";
    start.raw(version).raw<std::uint64_t>(0).raw(keys_);
    return start.bytes_ + bytes_;
  }

 private:
  std::string bytes_;
  std::uint64_t keys_ = 0;
};

Head llama() {
  Head h;
  h.str("general.architecture", "llama").u32("llama.block_count", 28).u32("llama.embedding_length", 2048);
  h.u32("llama.attention.head_count", 16)
      .u32("llama.attention.head_count_kv", 8)
      .u32("llama.context_length", 40960);
  return h;
}

TEST(Gguf, FiguresOfAModel) {
  const auto info = parse_gguf(llama().whole());
  ASSERT_TRUE(info);
  EXPECT_EQ(info->architecture, "llama");
  EXPECT_EQ(info->layers, 28u);
  EXPECT_EQ(info->kv_heads, 8u);
  EXPECT_EQ(info->key_length, 128u);
  EXPECT_EQ(info->trained_context, 40960u);
  EXPECT_EQ(info->kv_bytes_per_token(), 28u * 8 * 256 * 2);
}

TEST(Gguf, StatedKeyLengthWins) {
  const auto info = parse_gguf(
      llama().u32("llama.attention.key_length", 64).u32("llama.attention.value_length", 32).whole());
  EXPECT_EQ(info->kv_bytes_per_token(), 28u * 8 * 96 * 2);
}

TEST(Gguf, HeadsWithoutKvHeads) {
  Head h;
  h.str("general.architecture", "gpt2")
      .u32("gpt2.block_count", 2)
      .u32("gpt2.embedding_length", 64)
      .u32("gpt2.attention.head_count", 4);
  EXPECT_EQ(parse_gguf(h.whole())->kv_heads, 4u);
}

TEST(Gguf, KvHeadsPerLayer) {
  Head h = llama();
  h.key("llama.attention.head_count_kv", 9)
      .raw<std::uint32_t>(4)
      .raw<std::uint64_t>(3)
      .raw<std::uint32_t>(8)
      .raw<std::uint32_t>(0)
      .raw<std::uint32_t>(2);
  EXPECT_EQ(parse_gguf(h.whole())->kv_heads, 4u);  // 10 ÷ 3, rounded up
}

TEST(Gguf, OtherKeysOfEveryTypeAreSkipped) {
  Head h;
  h.key("a", 0)
      .raw<std::uint8_t>(1)
      .key("b", 1)
      .raw<std::int8_t>(-1)
      .key("c", 2)
      .raw<std::uint16_t>(1)
      .key("d", 3)
      .raw<std::int16_t>(-1);
  h.key("e", 5)
      .raw<std::int32_t>(-1)
      .key("f", 6)
      .raw(1.0f)
      .key("g", 7)
      .raw<std::uint8_t>(1)
      .key("h", 10)
      .raw<std::uint64_t>(1);
  h.key("i", 11).raw<std::int64_t>(-1).key("j", 12).raw(1.0);
  h.key("k", 9).raw<std::uint32_t>(8).raw<std::uint64_t>(2).text("x").text("yy");
  h.key("l", 9).raw<std::uint32_t>(6).raw<std::uint64_t>(2).raw(1.0f).raw(2.0f);
  h.str("general.architecture", "llama").u32("llama.block_count", 3);
  const auto info = parse_gguf(h.whole(2));
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->layers, 3u);
}

TEST(Gguf, EveryPrefixIsTruncated) {
  const std::string whole = llama().whole();
  for (std::size_t n = 4; n < whole.size(); ++n) {
    const auto info = parse_gguf(std::string_view(whole).substr(0, n));
    ASSERT_FALSE(info) << n;
    EXPECT_EQ(info.error().code, "gguf_truncated") << n;
  }
}

TEST(Gguf, WhatIsNoGguf) {
  EXPECT_EQ(parse_gguf("").error().code, "not_gguf");
  EXPECT_EQ(parse_gguf("version https://git-lfs.github.com/spec/v1").error().code, "not_gguf");
  EXPECT_EQ(parse_gguf(llama().whole(99)).error().code, "gguf_malformed");
  Head nested;
  nested.key("x", 9).raw<std::uint32_t>(9).raw<std::uint64_t>(1);
  EXPECT_EQ(parse_gguf(nested.whole()).error().code, "gguf_malformed");
}

TEST(Gguf, AbsurdFiguresDoNotOverflow) {
  Head h;
  h.str("general.architecture", "x");
  for (const char* name : {"x.block_count", "x.embedding_length", "x.attention.head_count",
                           "x.attention.key_length", "x.attention.value_length"}) {
    h.key(name, 10).raw(std::numeric_limits<std::uint64_t>::max());
  }
  const auto info = parse_gguf(h.whole());
  ASSERT_TRUE(info);
  EXPECT_EQ(info->kv_bytes_per_token(), std::numeric_limits<std::uint64_t>::max());
  Head lengths;
  lengths.key("x", 9).raw<std::uint32_t>(4).raw(std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(parse_gguf(lengths.whole()).error().code, "gguf_truncated");
}

TEST(Gguf, FileWithALongVocabulary) {
  TemporaryDirectory dir;
  Head h;
  h.str("general.architecture", "llama");
  h.key("tokenizer.ggml.tokens", 9).raw<std::uint32_t>(8).raw<std::uint64_t>(200'000);
  for (int i = 0; i < 200'000; ++i) h.text("token" + std::to_string(i));
  h.u32("llama.block_count", 5);
  const std::string path = dir.path() + "/m.gguf";
  std::ofstream(path, std::ios::binary) << h.whole() << std::string(100, '\0');
  const auto info = read_gguf(path);
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->layers, 5u);
  EXPECT_EQ(read_gguf(dir.path() + "/none").error().code, "weights_missing");
}

}  // namespace
}  // namespace tg::runtime
