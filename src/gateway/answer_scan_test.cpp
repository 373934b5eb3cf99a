#include "gateway/answer_scan.hpp"

#include <gtest/gtest.h>

namespace tg::gateway {
namespace {

TEST(AnswerScan, UsageOfAWholeAnswer) {
  AnswerScanner scanner;
  const AnswerFacts f = scanner.scan(
      R"({"id":"x","choices":[{"message":{"role":"assistant","content":"héy","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}],)"
      R"("usage":{"prompt_tokens":11,"completion_tokens":22,"prompt_tokens_details":{"cached_tokens":4},"total_tokens":33}})");
  EXPECT_TRUE(f.valid);
  EXPECT_EQ(f.usage.prompt_tokens, 11);
  EXPECT_EQ(f.usage.completion_tokens, 22);
  EXPECT_EQ(f.usage.cached_tokens, 4);
  EXPECT_FALSE(f.usage_only);
  EXPECT_EQ(f.code_points, 0) << "nobody estimates what is told";
}

TEST(AnswerScan, TextOfAnAnswerWithoutUsage) {
  AnswerScanner scanner;
  const AnswerFacts f = scanner.scan(
      R"({"choices":[{"message":{"role":"assistant","content":"héy","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}]})");
  EXPECT_TRUE(f.valid);
  EXPECT_EQ(f.code_points, 5);
}

TEST(AnswerScan, EventsThatCountAndEventsThatDoNot) {
  AnswerScanner scanner;
  EXPECT_TRUE(scanner.scan(R"({"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}})").usage_only);
  EXPECT_TRUE(scanner.scan(R"({"choices":[ ],"usage":{"prompt_tokens":1}})").usage_only);
  EXPECT_FALSE(scanner.scan(R"({"choices":[{"delta":{}}],"usage":{"prompt_tokens":1}})").usage_only);
  EXPECT_FALSE(scanner.scan(R"({"choices":[],"usage":null})").usage_only);
  EXPECT_FALSE(scanner.scan(R"({"usage":{"prompt_tokens":1}})").usage_only);
  EXPECT_FALSE(
      scanner.scan(R"({"choices":[{"delta":{"content":"\"usage\":{\"prompt_tokens\":9}"}}]})").usage.told());
  EXPECT_TRUE(scanner.scan(R"({"error":{"message":"x"}})").error);
  EXPECT_FALSE(scanner.scan(R"({"error":null})").error);
  EXPECT_FALSE(scanner.scan(R"({"choices":[)").valid);
  EXPECT_FALSE(scanner.scan("<html>").valid);
}

TEST(AnswerScan, EmbeddingsHaveNoCompletion) {
  AnswerScanner scanner;
  const AnswerFacts f = scanner.scan(
      R"({"object":"list","data":[{"embedding":[0.5,-1e-3],"index":0}],"usage":{"prompt_tokens":8,"total_tokens":8}})");
  EXPECT_EQ(f.usage.prompt_tokens, 8);
  EXPECT_EQ(f.usage.completion_tokens, -1);
}

}  // namespace
}  // namespace tg::gateway
