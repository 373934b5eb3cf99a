// The definition itself; test/engine/test_simulated.py compares whole answers with an implementation of its
// own.
#include "runtime/simulated_answer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/simulated_job.hpp"

namespace tg::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(SimulatedAnswer, EveryPieceIsOneToken) {
  for (const std::string_view piece : kPieces) {
    EXPECT_EQ(code_points(piece), 4) << piece;
    EXPECT_EQ(simulated_tokens(piece), 1) << piece;
  }
}

TEST(SimulatedAnswer, TokensAreRoundedUp) {
  EXPECT_EQ(simulated_tokens(""), 0);
  EXPECT_EQ(simulated_tokens("a"), 1);
  EXPECT_EQ(simulated_tokens("abcd"), 1);
  EXPECT_EQ(simulated_tokens("abcde"), 2);
  EXPECT_EQ(simulated_tokens("漢字🌊é"), 1);
  EXPECT_THAT(split_tokens("abcd漢字🌊éx"), ElementsAre("abcd", "漢字🌊é", "x"));
  EXPECT_TRUE(split_tokens("").empty());
}

TEST(SimulatedAnswer, KnownValues) {
  // FNV-1a and splitmix64 as their authors publish them.
  EXPECT_EQ(simulated_hash(""), 0xcbf29ce484222325u);
  EXPECT_EQ(simulated_hash("a"), 0xaf63dc4c8601ec8cu);
  SimulatedRandom random(1234567);
  EXPECT_EQ(random.next(), 6457827717110365317u);
  EXPECT_EQ(random.next(), 3203168211198807973u);
}

TEST(SimulatedAnswer, LimitRoomAndEos) {
  const auto free = simulated_text("p", -1, false, 1000);
  const std::size_t natural = free.tokens.size();
  EXPECT_GE(natural, 16u);
  EXPECT_LE(natural, 64u);
  EXPECT_FALSE(free.cut);
  const auto cut = simulated_text("p", 3, false, 1000);
  EXPECT_EQ(cut.tokens.size(), 3u);
  EXPECT_TRUE(cut.cut);
  EXPECT_TRUE(free.text().starts_with(cut.text()));
  EXPECT_EQ(simulated_text("p", -1, false, 5).tokens.size(), 5u);
  EXPECT_EQ(simulated_text("p", 200, false, 1000).tokens.size(), natural);
  EXPECT_EQ(simulated_text("p", 200, true, 1000).tokens.size(), 200u);
  EXPECT_EQ(simulated_text("p", -1, true, 300).tokens.size(), 300u);
}

TEST(SimulatedAnswer, EmbeddingIsWithinOne) {
  const auto values = simulated_embedding("x", 500);
  ASSERT_EQ(values.size(), 500u);
  for (const double v : values) {
    EXPECT_GE(v, -1.0);
    EXPECT_LT(v, 1.0);
  }
  EXPECT_EQ(simulated_embedding("x", 3), (std::vector<double>{values[0], values[1], values[2]}));
  EXPECT_NE(simulated_embedding("y", 3), simulated_embedding("x", 3));
}

SimulatedJob job_of(SimulatedKind kind, std::string_view body) {
  SimulatedJob job;
  SimulatedRefusal refusal;
  EXPECT_TRUE(read_simulated_job(kind, body, 8192, job, refusal)) << refusal.message;
  return job;
}

TEST(SimulatedJob, ChatCountsItsPromptAndListsItsTokens) {
  const auto job =
      job_of(SimulatedKind::chat,
             R"({"model":"m","messages":[{"role":"user","content":"hello"}],"stream":true,"max_tokens":2})");
  EXPECT_TRUE(job.stream);
  EXPECT_EQ(job.prompt_tokens, 3);  // "user\nhello\n"
  EXPECT_EQ(job.tokens.size(), 2u);
  EXPECT_EQ(job.opening.size(), 1u);
  EXPECT_EQ(job.closing.size(), 1u);
  EXPECT_THAT(job.closing[0], HasSubstr(R"("finish_reason":"length")"));
  EXPECT_THAT(job.body, HasSubstr(R"("usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5})"));
}

TEST(SimulatedJob, UsageEventOnlyWhenAsked) {
  const auto job =
      job_of(SimulatedKind::completion,
             R"({"model":"m","prompt":"x","stream":true,"stream_options":{"include_usage":true}})");
  ASSERT_EQ(job.closing.size(), 2u);
  EXPECT_THAT(job.closing[1], HasSubstr(R"("choices":[],"usage":)"));
  EXPECT_TRUE(job.opening.empty());
}

TEST(SimulatedJob, PromptThatFillsTheContextIsRefused) {
  SimulatedJob job;
  SimulatedRefusal refusal;
  EXPECT_FALSE(
      read_simulated_job(SimulatedKind::completion, R"({"model":"m","prompt":"12345678"})", 2, job, refusal));
  EXPECT_EQ(refusal.code, "context_length_exceeded");
  EXPECT_TRUE(
      read_simulated_job(SimulatedKind::completion, R"({"model":"m","prompt":"12345678"})", 3, job, refusal));
  EXPECT_EQ(job.tokens.size(), 1u);
}

TEST(SimulatedJob, WhatIsRefused) {
  for (
      const char* body :
      {"", "[]", "{}", R"({"model":"m"})", R"({"model":"m","messages":[]})", R"({"model":"m","messages":{}})",
       R"({"model":"m","messages":[{"content":"x"}]})", R"({"model":"m","messages":[{"role":"user"}],"n":2})",
       R"({"model":"m","messages":[{"role":"user"}],"max_tokens":-1})",
       R"({"model":"m","messages":[{"role":"user"}],"tools":[{}]})",
       R"({"model":"m","messages":[{"role":"user"}],"tools":[{"function":{"name":"a"}}],"tool_choice":{"function":{"name":"b"}}})"}) {
    SimulatedJob job;
    SimulatedRefusal refusal;
    EXPECT_FALSE(read_simulated_job(SimulatedKind::chat, body, 8192, job, refusal)) << body;
    EXPECT_EQ(refusal.status, 400);
  }
}

}  // namespace
}  // namespace tg::runtime
