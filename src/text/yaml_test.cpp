#include "text/yaml.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace tg::text {
namespace {

// The tree as JSON-like text with a mark of quotes, so that a case is one line.
std::string show(const Node& n) {
  std::string out;
  if (n.kind == Node::Kind::scalar) return n.plain ? n.text : fmt::format("'{}'", n.text);
  if (n.kind == Node::Kind::sequence) {
    for (const Node& item : n.items) out += (out.empty() ? "" : ", ") + show(item);
    return "[" + out + "]";
  }
  for (const Member& m : n.members)
    out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", m.key, show(m.value));
  return "{" + out + "}";
}

std::string read(std::string_view text) {
  const YamlFile file = parse_yaml(text);
  std::string out;
  for (const Node& d : file.documents) out += show(d) + ";";
  for (const YamlProblem& p : file.problems) out += fmt::format(" {}@{}:{}", p.code, p.at.line, p.at.column);
  return out;
}

TEST(Yaml, ReadsTheCommonForms) {
  EXPECT_EQ(read(""), "");
  EXPECT_EQ(read("# nothing\n---\n---\n...\n"), "");
  EXPECT_EQ(read("a: 1\nb:\n  - x\n  - {c: 'd', e: \"f\\n\"}\n"), "{a: 1, b: [x, {c: 'd', e: 'f\n'}]};");
  EXPECT_EQ(read("a: |\n  one\n  two\nb: >-\n  one\n  two\n"), "{a: 'one\ntwo\n', b: 'one two'};");
  EXPECT_EQ(read("a: 1\n---\nb: 2\n"), "{a: 1};{b: 2};");
  EXPECT_EQ(read("{\"a\":1,\"b\":[true,null,\"\\u00e9\\/\"]}"), "{a: 1, b: [true, null, 'é/']};");
  EXPECT_EQ(read("\xEF\xBB\xBF"
                 "a: 1\r\nb: 2\r\n"),
            "{a: 1, b: 2};");
}

TEST(Yaml, KnowsWhereThingsAre) {
  const YamlFile file = parse_yaml("ä: x\nlist:\n  - {é: 1, key: [a, bb]}\n");
  ASSERT_EQ(file.documents.size(), 1U);
  const Node& root = file.documents[0];
  EXPECT_EQ(root.start.line, 1);
  EXPECT_EQ(root.members[0].value.start.column, 4) << "columns count code points, not bytes";
  const Node& entry = root.find("list")->items[0];
  EXPECT_EQ(entry.start.line, 3);
  EXPECT_EQ(entry.start.column, 5);
  EXPECT_EQ(entry.members[1].at.column, 12);
  const Node& bb = entry.find("key")->items[1];
  EXPECT_EQ(bb.start.column, 21);
  EXPECT_EQ(bb.end.column, 23);
  EXPECT_EQ(entry.find("none"), nullptr);
}

TEST(Yaml, RefusesTheSameKeyTwiceAndReadsOn) {
  const YamlFile file = parse_yaml("a: 1\nb: {x: 1, \"\\x78\": 2}\na: 3\nc: 4\n");
  ASSERT_EQ(file.problems.size(), 2U);
  EXPECT_EQ(file.problems[0].code, "duplicate_key");
  EXPECT_EQ(file.problems[0].message, "the key 'x' is there twice, first at line 2 column 5");
  EXPECT_EQ(file.problems[1].at.line, 3);
  EXPECT_EQ(show(file.documents[0]), "{a: 1, b: {x: 1}, c: 4}");
  EXPECT_EQ(read("{1: a, \"1\": b}"), "{1: a}; duplicate_key@1:8");
}

TEST(Yaml, RefusesKeysThatAreNoText) {
  EXPECT_EQ(read("? [a]\n: 1\nb: 2\n"), "{b: 2}; bad_key@1:3");
  EXPECT_EQ(read("{{a: b}: 1}"), "{}; bad_key@1:2");
}

TEST(Yaml, RepeatsAnchors) {
  const YamlFile file = parse_yaml("a: &x {k: 1}\nb: *x\nc: &x 2\nd: *x\n");
  ASSERT_TRUE(file.problems.empty());
  EXPECT_EQ(show(file.documents[0]), "{a: {k: 1}, b: {k: 1}, c: 2, d: 2}");
  EXPECT_EQ(file.documents[0].find("b")->start.line, 2) << "an alias stands where it is written";
  EXPECT_EQ(file.documents[0].find("b")->find("k")->start.line, 1) << "what it repeats stands at the anchor";
  EXPECT_EQ(read("a: *x\n"), " unknown_alias@1:4");
  EXPECT_EQ(read("a: &x [*x]\n"), " unknown_alias@1:8") << "an anchor cannot hold itself";
  EXPECT_EQ(read("a: &x 1\n---\nb: *x\n"), "{a: 1}; unknown_alias@3:4") << "anchors end with their document";
}

TEST(Yaml, BoundsAliases) {
  YamlLimits limits;
  limits.alias_nodes = 8;
  EXPECT_TRUE(parse_yaml("a: &a [1, 2, 3]\nb: [*a, *a]\n", limits).problems.empty());
  const YamlFile over = parse_yaml("a: &a [1, 2, 3]\nb: [*a, *a, *a]\n", limits);
  ASSERT_EQ(over.problems.size(), 1U);
  EXPECT_EQ(over.problems[0].code, "alias_bomb");
  limits.alias_bytes = 5;
  EXPECT_EQ(parse_yaml("a: &a 123456\nb: *a\n", limits).problems[0].code, "alias_bomb");
  // A value that is larger than the budget may have an anchor as long as nothing repeats it.
  EXPECT_TRUE(parse_yaml("a: &a 123456\n", limits).problems.empty());
  // Anchors inside anchors copy the same values once per level.
  std::string nested;
  for (int i = 0; i < 60; ++i) nested += fmt::format("&a{} [", i);
  for (int i = 0; i < 200; ++i) nested += "1,";
  nested += std::string(60, ']');
  limits = {};
  limits.nodes = 5000;
  EXPECT_EQ(parse_yaml(nested, limits).problems.at(0).code, "alias_bomb");
}

TEST(Yaml, BoundsDepth) {
  const auto nested = [](int n) {
    return std::string(static_cast<std::size_t>(n), '[') + std::string(static_cast<std::size_t>(n), ']');
  };
  EXPECT_TRUE(parse_yaml(nested(64)).problems.empty());
  const YamlFile file = parse_yaml(nested(65));
  ASSERT_EQ(file.problems.size(), 1U);
  EXPECT_EQ(file.problems[0].code, "too_deep");
  EXPECT_EQ(file.problems[0].at.column, 65);
  // libyaml alone needs time quadratic in the depth: 100,000 brackets took 48 s. The cap ends this after 65.
  EXPECT_EQ(parse_yaml(std::string(100'000, '[')).problems.at(0).code, "too_deep");
  std::string dashes;
  for (int i = 0; i < 100; ++i) dashes += "- ";
  EXPECT_EQ(parse_yaml(dashes + "x").problems.at(0).code, "too_deep");
  // Aliases count with the depth of what they repeat.
  EXPECT_EQ(parse_yaml("a: &a " + nested(40) + "\nb: [[[[[[[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]]]]]]\n")
                .problems.at(0)
                .code,
            "too_deep");
}

TEST(Yaml, BoundsSize) {
  YamlLimits limits;
  limits.bytes = 10;
  EXPECT_EQ(parse_yaml("a: 12345678", limits).problems.at(0).code, "file_too_large");
  limits = {};
  limits.nodes = 10;
  EXPECT_EQ(parse_yaml("[1,2,3,4,5,6,7,8,9,10,11]", limits).problems.at(0).code, "too_many_nodes");
}

TEST(Yaml, RefusesWhatIsNoText) {
  EXPECT_EQ(read("a: 1\nb: \xFF\n"), " invalid_utf8@2:4");
  EXPECT_EQ(read("é: \xC3"), " invalid_utf8@1:4");
  EXPECT_EQ(read("a: \xED\xA0\x80"), " invalid_utf8@1:4") << "a surrogate";
  EXPECT_EQ(read(std::string_view("a: \0b", 5)), " control_character@1:4");
  EXPECT_EQ(read("\xFF\xFE"
                 "a"),
            " invalid_utf8@1:1")
      << "UTF-16";
}

TEST(Yaml, KeepsDocumentsBeforeASyntaxError) {
  EXPECT_EQ(read("a: 1\n---\nb: [\n"), "{a: 1}; yaml_syntax@4:1");
  EXPECT_EQ(read("a: 1\n---\nb: {c: 1\nd: 2\n"), "{a: 1}; yaml_syntax@4:2");
}

TEST(Yaml, HintsAtCommonMistakes) {
  EXPECT_EQ(parse_yaml("a:\n\tb: 1\n").problems.at(0).hint, "indent with spaces, not tabs");
  EXPECT_EQ(parse_yaml("é: @x\n").problems.at(0).hint, "put the value in quotes");
  EXPECT_EQ(parse_yaml("a: b: c\n").problems.at(0).hint,
            "a value with ': ' in it needs quotes; else check the indentation of this line");
  EXPECT_EQ(parse_yaml("a: \"\\ud83d\\ude00\"\n").problems.at(0).hint,
            "write the character itself instead of \\u escapes");
}

TEST(Yaml, RefusesForeignTags) {
  EXPECT_EQ(read("a: !!python/object:os.system x\n"), "{a: x}; unknown_tag@1:4");
  EXPECT_EQ(read("a: !secret x\n"), "{a: x}; unknown_tag@1:4");
  EXPECT_EQ(read("a: !!str 1\n"), "{a: 1};");
}

struct Case {
  std::string_view text;
  ScalarType type;
};

class Resolve : public testing::TestWithParam<Case> {};

TEST_P(Resolve, FollowsTheCoreSchema) {
  const YamlFile file = parse_yaml(fmt::format("[{}]", GetParam().text));
  ASSERT_TRUE(file.problems.empty());
  EXPECT_EQ(resolve(file.documents[0].items.at(0)), GetParam().type) << GetParam().text;
}

constexpr ScalarType kNull = ScalarType::null, kBool = ScalarType::boolean, kInt = ScalarType::integer,
                     kFloat = ScalarType::floating, kText = ScalarType::text;
INSTANTIATE_TEST_SUITE_P(
    Plain, Resolve,
    testing::Values(Case{"null", kNull}, Case{"Null", kNull}, Case{"~", kNull}, Case{"nULL", kText},
                    Case{"true", kBool}, Case{"False", kBool}, Case{"TRUE", kBool}, Case{"tRUE", kText},
                    Case{"yes", kText}, Case{"no", kText}, Case{"on", kText}, Case{"off", kText},
                    Case{"y", kText}, Case{"0", kInt}, Case{"-0", kInt}, Case{"+12", kInt}, Case{"010", kInt},
                    Case{"0o17", kInt}, Case{"0o18", kText}, Case{"0x1F", kInt}, Case{"-0x1", kText},
                    Case{"1_000", kText}, Case{"1:30", kText}, Case{"2001-01-01", kText}, Case{"1.5", kFloat},
                    Case{".5", kFloat}, Case{"1.", kFloat}, Case{"1e3", kFloat}, Case{"1e", kText},
                    Case{"-1.5E-3", kFloat}, Case{".inf", kFloat}, Case{"-.INF", kFloat},
                    Case{".nan", kFloat}, Case{"-.nan", kText}, Case{"nan", kText}, Case{".", kText},
                    Case{"-", kText}, Case{"4Gi", kText}, Case{"20%", kText}));
INSTANTIATE_TEST_SUITE_P(QuotedAndTagged, Resolve,
                         testing::Values(Case{"'1'", kText}, Case{"\"true\"", kText}, Case{"''", kText},
                                         Case{"!!str 1", kText}, Case{"!!int '1'", kInt},
                                         Case{"!!int x", kText}, Case{"!!float 1", kFloat},
                                         Case{"!!bool true", kBool}, Case{"!!null ''", kNull},
                                         Case{"! 1", kText}));

TEST(Resolve, NamesThingsForPeople) {
  const YamlFile file = parse_yaml("[x, 1, 1.5, true, ~, [], {}, '1']");
  std::string out;
  for (const Node& n : file.documents[0].items) out += std::string(describe(n)) + "|";
  EXPECT_EQ(out, "text|a number|a number|a boolean|nothing|a list|a map|text|");
  EXPECT_TRUE(as_boolean(file.documents[0].items[3]));
}

}  // namespace
}  // namespace tg::text
