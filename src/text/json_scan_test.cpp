#include "text/json_scan.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tg::text {
namespace {

struct Recorder final : JsonVisitor {
  std::vector<std::string> seen;
  void on_value(const JsonToken& t) override {
    seen.push_back(std::to_string(t.depth) + " " + std::string(t.key) + "=" + std::string(t.raw));
  }
  void on_close(const JsonToken& t) override {
    seen.push_back(std::to_string(t.depth) + " " + std::string(t.key) + " closed " + std::string(t.raw));
  }
};

std::string code_of(std::string_view text) {
  JsonScanner scanner;
  Recorder r;
  const auto result = scanner.scan(text, r);
  return result ? "ok" : result.error().code;
}

TEST(JsonScan, ReportsEveryValueWithItsRange) {
  JsonScanner scanner;
  Recorder r;
  ASSERT_TRUE(scanner.scan(R"( {"a" : "x\"y" ,"b":[1, {"c":null}],"d":{} } )", r));
  const std::vector<std::string> expected{"0 ={",
                                          R"(1 a="x\"y")",
                                          "1 b=[",
                                          "2 =1",
                                          "2 ={",
                                          "3 c=null",
                                          R"(2  closed {"c":null})",
                                          R"(1 b closed [1, {"c":null}])",
                                          "1 d={",
                                          "1 d closed {}",
                                          R"(0  closed {"a" : "x\"y" ,"b":[1, {"c":null}],"d":{} })"};
  EXPECT_EQ(r.seen, expected);
}

TEST(JsonScan, RefusesWhatIsNotExactlyOneText) {
  for (const char* bad : {"",
                          " ",
                          "{",
                          "}",
                          "[",
                          "]",
                          "{]",
                          "[}",
                          "{\"a\"}",
                          "{\"a\":}",
                          "{\"a\":1,}",
                          "[1,]",
                          "[,1]",
                          "{,}",
                          "{\"a\":1}x",
                          "{\"a\":1}{}",
                          "[1 2]",
                          "[1]]",
                          "tru",
                          "truex",
                          "nul",
                          "01",
                          "1.",
                          ".5",
                          "-",
                          "1e",
                          "+1",
                          "{1:2}",
                          "{\"a\" 1}",
                          "\"abc",
                          "\"a\nb\"",
                          "[\"a\" \"b\"]",
                          "{\"a\":1 \"b\":2}",
                          "NaN",
                          "[1],",
                          ":",
                          "\"a\":1"}) {
    EXPECT_EQ(code_of(bad), "invalid_json") << bad;
  }
  for (const char* good :
       {"{}", "[]", "1", "-0.5e+10", "\"\"", "true", "null", " [ ] ", "[[],[{}]]", "{\"\":\"\"}"}) {
    EXPECT_EQ(code_of(good), "ok") << good;
  }
  EXPECT_EQ(code_of("\"\xff\""), "invalid_utf8");
  EXPECT_EQ(code_of("{\"a\":\"\xed\xa0\x80\"}"), "invalid_utf8");
}

TEST(JsonScan, DepthIsBounded) {
  const auto nested = [](int n) {
    return std::string(static_cast<std::size_t>(n), '[') + std::string(static_cast<std::size_t>(n), ']');
  };
  EXPECT_EQ(code_of(nested(kMaxJsonDepth)), "ok");
  EXPECT_EQ(code_of(nested(kMaxJsonDepth + 1)), "json_too_deep");
  EXPECT_EQ(code_of(std::string(1'000'000, '[')), "json_too_deep");
}

TEST(JsonScan, GrowsForLargeTexts) {
  JsonScanner scanner;
  Recorder r;
  EXPECT_TRUE(scanner.scan("{\"x\":\"" + std::string(300'000, 'a') + "\"}", r));
  EXPECT_TRUE(scanner.scan("{}", r));
}

TEST(JsonScan, Unescape) {
  std::string out;
  EXPECT_TRUE(json_unescape(R"(\u006dodel)", out));
  EXPECT_EQ(out, "model");
  EXPECT_TRUE(json_unescape(R"(\ud83d\ude00\n)", out));
  EXPECT_EQ(out, "\xF0\x9F\x98\x80\n");
  EXPECT_FALSE(json_unescape(R"(\ud83d)", out));
  EXPECT_FALSE(json_unescape(R"(\q)", out));
  EXPECT_FALSE(json_unescape("\\", out));
}

TEST(JsonScan, CodePoints) {
  EXPECT_EQ(json_code_points("abc"), 3);
  EXPECT_EQ(json_code_points("\xC3\xA9\xE2\x82\xAC"), 2);
  EXPECT_EQ(json_code_points(R"(a\nb)"), 3);
  EXPECT_EQ(json_code_points(R"(\ud83d\ude00)"), 1);
  EXPECT_EQ(json_code_points(R"(\\u)"), 2);
  EXPECT_EQ(json_code_points(R"(\u0041)"), 1);
  std::string longer;
  for (int i = 0; i < 3000; ++i) longer += "a\xC3\xA9\xF0\x9F\x98\x80";
  for (std::size_t n : {std::size_t{7}, std::size_t{70}, std::size_t{7 * 700}, longer.size()}) {
    EXPECT_EQ(json_code_points(std::string_view(longer).substr(0, n)), static_cast<std::int64_t>(n / 7 * 3))
        << n;
  }
}

}  // namespace
}  // namespace tg::text
