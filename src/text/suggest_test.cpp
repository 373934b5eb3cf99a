#include "text/suggest.hpp"

#include <gtest/gtest.h>

#include <array>

namespace tg::text {
namespace {

TEST(Suggest, CountsEdits) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("replica", "replicas"), 1U);
  EXPECT_EQ(edit_distance("idel", "idle"), 1U) << "a swap is one edit";
  EXPECT_EQ(edit_distance("Max_Size", "max-size"), 0U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
}

constexpr std::array<std::string_view, 5> kNames{"replicas", "min", "max", "requestsPerMinute", "url"};

TEST(Suggest, ProposesTheNearest) {
  EXPECT_EQ(did_you_mean("replica", kNames), "did you mean 'replicas'?");
  EXPECT_EQ(did_you_mean("mix", kNames), "did you mean 'max' or 'min'?");
  EXPECT_EQ(did_you_mean("URL", kNames), "did you mean 'url'?");
  EXPECT_EQ(did_you_mean("requests", kNames), "did you mean 'requestsPerMinute'?") << "a beginning is enough";
  EXPECT_EQ(did_you_mean("requests_per_minute", kNames), "did you mean 'requestsPerMinute'?");
}

TEST(Suggest, SaysNothingWhenNothingIsNear) {
  EXPECT_EQ(did_you_mean("budget", kNames), "");
  EXPECT_EQ(did_you_mean("", kNames), "");
  EXPECT_EQ(did_you_mean("m", kNames), "") << "short words are near to everything";
  EXPECT_EQ(did_you_mean(std::string(100'000, 'a'), kNames), "");
}

TEST(Suggest, KeepsToTheBound) {
  const std::vector<std::string> many{"aaaa", "aaab", "aaac", "aaad", "aaae"};
  EXPECT_EQ(nearest("aaaf", many).size(), 3U);
  EXPECT_EQ(nearest("aaab", many, 1), std::vector<std::string_view>{"aaab"});
}

TEST(Suggest, JoinsWords) {
  EXPECT_EQ(join_words({}), "");
  EXPECT_EQ(join_words(std::array<std::string_view, 1>{"a"}), "a");
  EXPECT_EQ(join_words(std::array<std::string_view, 3>{"a", "b", "c"}, "or"), "a, b or c");
}

}  // namespace
}  // namespace tg::text
