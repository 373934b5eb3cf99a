#include "text/emit.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "text/yaml.hpp"

namespace tg::text {
namespace {

using Json = nlohmann::ordered_json;

// What our reader makes of the emitted text.
Json back(const Node& n) {
  if (n.kind == Node::Kind::sequence) {
    Json out = Json::array();
    for (const Node& item : n.items) out.push_back(back(item));
    return out;
  }
  if (n.kind == Node::Kind::mapping) {
    Json out = Json::object();
    for (const Member& m : n.members) out[m.key] = back(m.value);
    return out;
  }
  switch (resolve(n)) {
    case ScalarType::null:
      return nullptr;
    case ScalarType::boolean:
      return as_boolean(n);
    case ScalarType::integer:
    case ScalarType::floating:
      return Json::parse(n.text, nullptr, false);
    case ScalarType::text:
      break;
  }
  return n.text;
}

TEST(Emit, WritesBlockStyle) {
  const Json value = Json::parse(
      R"({"name": "a", "list": [1, {"x": true, "y": []}, [2, [3]], {}], "deep": {"e": {}, "n": null}, "f": 1.0, "s": "two\nlines"})");
  EXPECT_EQ(emit_yaml(value),
            "name: a\n"
            "list:\n"
            "  - 1\n"
            "  - x: true\n"
            "    \"y\": []\n"
            "  - - 2\n"
            "    - - 3\n"
            "  - {}\n"
            "deep:\n"
            "  e: {}\n"
            "  \"n\": null\n"
            "f: 1.0\n"
            "s: |-\n  two\n  lines\n");
}

TEST(Emit, WritesWhatIsNoMap) {
  EXPECT_EQ(emit_yaml(Json(7)), "7\n");
  EXPECT_EQ(emit_yaml(Json("yes")), "\"yes\"\n");
  EXPECT_EQ(emit_yaml(Json::array()), "[]\n");
  EXPECT_EQ(emit_yaml(Json::object()), "{}\n");
  EXPECT_EQ(emit_yaml(Json::array({1, Json::object({{"a", 1}, {"b", 2}})})), "- 1\n- a: 1\n  b: 2\n");
}

TEST(Emit, QuotesWhatAnyReaderCouldTakeForSomethingElse) {
  for (const std::string_view text :
       {"yes",   "No",   "ON",  "off",      "y",       "N",   "true",       "NULL",
        "~",     "",     " a",  "a ",       "1",       "-1",  "0x1f",       "010",
        "1_000", "1:30", "1e3", ".5",       ".inf",    "+1",  "2001-01-01", "2001-12-14t21:59:43Z",
        "=",     "<<",   "- a", "a: b",     "a #b",    "a:",  "#a",         "&a",
        "*a",    "!a",   "|",   ">",        "@a",      "`a",  "%a",         "?",
        "[a",    "{a",   "a,b", "a\nb",     "a\tb",    "'a'", "\"a\"",      "\\",
        "---",   "...",  "é",   "a\u2028b", "a\u00a0b"}) {
    EXPECT_TRUE(yaml_scalar(text).starts_with('"')) << text << " → " << yaml_scalar(text);
  }
}

TEST(Emit, LeavesPlainWhatIsPlain) {
  for (const std::string_view text :
       {"a", "qwen3-4b", "gpt-5-mini", "hf://Qwen/Qwen3-4B/f.gguf", "/data/x", "not ready yet",
        "org/model:tag", "on_hold", "nullable", "tidegate.dev/v1alpha1"}) {
    EXPECT_EQ(yaml_scalar(text), text);
  }
}

TEST(Emit, ComesBackEqual) {
  Json strings = Json::array();
  for (int c = 0; c < 0x250; ++c) {
    std::string one;
    if (c < 0x80) {
      one = static_cast<char>(c);
    } else {
      one = {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
    }
    for (const std::string& text : {one, one + "a", "a" + one, "a" + one + "b", one + " ", "b " + one})
      strings.push_back(text);
  }
  for (const std::string_view text :
       {"one\ntwo", "one\ntwo\n", "one\n\n  two\n\n", "one \n two", "# a\n- b: c\n", "a\n\tb", "a\rb\nc",
        "one\n\n\n", "\u2028", "\u2029", "\uFEFF", "\uFFFE", "\U0001F600", "\uD7FF", "\uE000"})
    strings.push_back(text);
  const Json value{{"strings", strings},
                   {"numbers", {0, -1, 18446744073709551615ULL, 1.5, 1e300, -2.5e-7, 0.1}},
                   {"others", {nullptr, true, false}},
                   {"a b: c", {{"", 1}}}};
  const std::string text = emit_yaml(value);
  const YamlFile file = parse_yaml(text);
  ASSERT_TRUE(file.problems.empty()) << file.problems[0].message << " " << file.problems[0].at.line;
  ASSERT_EQ(file.documents.size(), 1U);
  const Json again = back(file.documents[0]);
  for (std::size_t i = 0; i < strings.size(); ++i)
    EXPECT_EQ(again["strings"][i], strings[i]) << yaml_scalar(strings[i].get<std::string>());
  EXPECT_EQ(again, value);
}

TEST(Emit, WritesLinesAsBlocks) {
  EXPECT_EQ(emit_yaml(Json{{"script", "set -e\n  run\n"}}), "script: |\n  set -e\n    run\n");
  EXPECT_EQ(emit_yaml(Json{{"a", {{{"b", "x\ny"}}, "p\nq\n"}}}),
            "a:\n  - b: |-\n      x\n      y\n  - |\n    p\n    q\n");
}

TEST(Emit, ReplacesWhatIsNoText) { EXPECT_EQ(yaml_scalar("a\xFF\xC3"), "\"a\uFFFD\uFFFD\""); }

}  // namespace
}  // namespace tg::text
