#include "gateway/output_estimate.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace tg::gateway {
namespace {

TEST(OutputEstimate, TextsCountByCodePointsRoundedUp) {
  EXPECT_EQ(estimate_output({}, {.code_points = 0, .bytes = 900}), 0) << "an answer that says nothing";
  EXPECT_EQ(estimate_output({}, {.code_points = 8}), 2);
  EXPECT_EQ(estimate_output({}, {.code_points = 9}), 3);
  EXPECT_EQ(estimate_output({}, {.code_points = 9, .code_points_per_token = 3}), 3);
}

TEST(OutputEstimate, WhatCameCountsBeforeTheTimeThatPassed) {
  OutputSeen seen{.bytes = 400, .generating = 100 * kSecond, .decode_rate = 40};
  EXPECT_EQ(estimate_output({}, seen), 100);
  seen.bytes = 0;
  EXPECT_EQ(estimate_output({}, seen), 4000);
  seen.decode_rate = 0;
  EXPECT_EQ(estimate_output({}, seen), 0) << "nothing is known of this upstream's speed";
  seen.decode_rate = 40;
  seen.generating = -5;
  EXPECT_EQ(estimate_output({}, seen), 0);
}

TEST(OutputEstimate, TheRequestBoundsIt) {
  const OutputSeen waited{.generating = 100 * kSecond, .decode_rate = 40};
  EXPECT_EQ(estimate_output({.max_tokens = 16}, waited), 16);
  EXPECT_EQ(estimate_output({.max_tokens = 16, .choices = 3}, waited), 48) << "max_tokens is of one choice";
  EXPECT_EQ(estimate_output({.choices = 3}, waited), 12000) << "choices are written at the same time";
  EXPECT_EQ(estimate_output({.max_tokens = 0}, waited), 0);
  EXPECT_EQ(estimate_output({.max_tokens = 16}, {.bytes = 4000}), 16);
  EXPECT_EQ(estimate_output({.max_tokens = 16}, {.code_points = 4000}), 16);
  EXPECT_EQ(estimate_output({.max_tokens = 16}, {.code_points = 8}), 2) << "a bound, not a guess";
}

TEST(OutputEstimate, TheContextBoundsIt) {
  const OutputSeen waited{.generating = 1000 * kSecond, .decode_rate = 40};
  EXPECT_EQ(estimate_output({.context = 4096, .prompt_tokens = 96}, waited), 4000);
  EXPECT_EQ(estimate_output({.max_tokens = 9000, .context = 4096, .prompt_tokens = 96}, waited), 4000);
  EXPECT_EQ(estimate_output({.max_tokens = 10, .context = 4096, .prompt_tokens = 96}, waited), 10);
  EXPECT_EQ(estimate_output({.context = 64, .prompt_tokens = 96}, waited), 0) << "no room is left";
}

TEST(OutputEstimate, EmbeddingsHaveNoOutput) {
  EXPECT_EQ(estimate_output({.text = false}, {.bytes = 70'000}), 0);
  EXPECT_EQ(estimate_output({.text = false}, {.generating = kSecond, .decode_rate = 40}), 0);
}

TEST(OutputEstimate, TheLargestAnswer) {
  EXPECT_FALSE(largest_output({}));
  EXPECT_EQ(largest_output({.text = false}), 0);
  EXPECT_EQ(largest_output({.max_tokens = 7, .choices = 2}), 14);
  EXPECT_GT(*largest_output({.max_tokens = std::numeric_limits<std::int64_t>::max(), .choices = 1024}), 0)
      << "no number in a request overflows";
}

}  // namespace
}  // namespace tg::gateway
