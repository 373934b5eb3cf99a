#include "gateway/body_scan.hpp"

#include <gtest/gtest.h>

#include <string>

namespace tg::gateway {
namespace {

std::string code_of(const std::string& body) {
  BodyScanner scanner;
  BodyFacts facts;
  const auto result = scanner.scan(body, facts);
  return result ? "ok" : result.error().code;
}

TEST(BodyScan, FindsWhatRoutingNeeds) {
  const std::string body =
      R"({"messages":[{"role":"user","content":"h\u00e9llo"},{"content":[{"type":"text","text":"ab"},{"image_url":{"url":"data:image/png;base64,AAAA"}}]}],)"
      R"( "model" : "a\/b", "stream":true,"n":2,"max_tokens":5,"max_completion_tokens":7,"seed":12345678901234567890})";
  BodyScanner scanner;
  BodyFacts facts;
  ASSERT_TRUE(scanner.scan(body, facts));
  EXPECT_EQ(facts.model, "a/b");
  EXPECT_EQ(facts.model_raw, R"("a\/b")");
  EXPECT_TRUE(facts.stream);
  EXPECT_EQ(facts.choices, 2);
  EXPECT_EQ(facts.max_tokens, 7);
  EXPECT_EQ(body[facts.root_open - 1], '{');
  // user(4) + héllo(5) + text(4) + ab(2); the inline picture is no text.
  EXPECT_EQ(facts.prompt_code_points, 15);
}

TEST(BodyScan, UsageOptions) {
  BodyScanner scanner;
  BodyFacts facts;
  const auto usage_of = [&](const std::string& options) {
    static std::string body;
    body = R"({"model":"m")" + options + "}";
    EXPECT_TRUE(scanner.scan(body, facts)) << body;
    return facts.usage;
  };
  EXPECT_EQ(usage_of(""), BodyFacts::Usage::no_options);
  EXPECT_EQ(usage_of(R"(,"stream_options":null)"), BodyFacts::Usage::null_options);
  EXPECT_EQ(usage_of(R"(,"stream_options":{})"), BodyFacts::Usage::options_without);
  EXPECT_TRUE(facts.options_empty);
  EXPECT_EQ(usage_of(R"(,"stream_options":{"x":1})"), BodyFacts::Usage::options_without);
  EXPECT_FALSE(facts.options_empty);
  EXPECT_EQ(usage_of(R"(,"stream_options":{"include_usage":false})"), BodyFacts::Usage::said_false);
  EXPECT_EQ(facts.usage_raw, "false");
  EXPECT_EQ(usage_of(R"(,"stream_options":{"include_\u0075sage":true})"), BodyFacts::Usage::said_true);
}

TEST(BodyScan, RefusesWhatParsersReadDifferently) {
  EXPECT_EQ(code_of(R"({"model":"a","model":"b"})"), "duplicate_key");
  EXPECT_EQ(code_of(R"({"model":"a","\u006dodel":"b"})"), "duplicate_key");
  EXPECT_EQ(code_of(R"({"model":"a","x":1,"x":2})"), "duplicate_key");
  EXPECT_EQ(code_of(R"({"model":"a","stream_options":{"include_usage":true,"include_usage":false}})"),
            "duplicate_key");
  EXPECT_EQ(code_of(R"({"model":"a","messages":[{"role":"x","role":"y"}]})"), "ok");
  EXPECT_EQ(code_of(R"({"model":"a"}{})"), "invalid_json");
  EXPECT_EQ(code_of(R"(["model"])"), "invalid_json");
  EXPECT_EQ(code_of(R"({"model":"a","\uZZZZ":1})"), "invalid_json");
  EXPECT_EQ(code_of(R"({})"), "model_required");
  EXPECT_EQ(code_of(R"({"model":""})"), "model_required");
  EXPECT_EQ(code_of(R"({"model":7})"), "model_required");
  EXPECT_EQ(code_of(R"({"model":"a","stream":"yes"})"), "bad_field");
  EXPECT_EQ(code_of(R"({"model":"a","stream_options":3})"), "bad_field");
  EXPECT_EQ(code_of("{\"model\":\"\xff\"}"), "invalid_utf8");
}

TEST(BodyScan, ManyKeysStayLinearAndExact) {
  std::string body = R"({"model":"a")";
  for (int i = 0; i < 50'000; ++i) body += ",\"k" + std::to_string(i) + "\":0";
  EXPECT_EQ(code_of(body + "}"), "ok");
  EXPECT_EQ(code_of(body + R"(,"k49999":1})"), "duplicate_key");
  EXPECT_EQ(code_of(body + R"(,"k3":1})"), "duplicate_key");
}

}  // namespace
}  // namespace tg::gateway
