// The table of codes against the source: every code in src/ has its explanation, and every entry is a code in
// src/.
#include "admin/reasons.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include "admin/api.hpp"
#include "base/files.hpp"

namespace tg::admin {
namespace {

namespace fs = std::filesystem;

// Program text of src/ by path, tests and this table left out.
std::map<std::string, std::string> sources() {
  std::map<std::string, std::string> found;
  const fs::path src = fs::path(TIDEGATE_SOURCE_DIR) / "src";
  for (const auto& entry : fs::recursive_directory_iterator(src)) {
    const std::string name = entry.path().filename().string();
    const std::string extension = entry.path().extension().string();
    if ((extension != ".cpp" && extension != ".hpp") || name == "reasons_table.cpp" ||
        name.find("_test.") != std::string::npos || name.find("_fuzz.") != std::string::npos ||
        name.find("_bench.") != std::string::npos || name.starts_with("fake_")) {
      continue;
    }
    found[fs::relative(entry.path(), src).string()] = *read_file(entry.path().string());
  }
  return found;
}

// True if what stands before a literal says that it is the code of an error, finding or reason.
bool makes_a_code(std::string_view before) {
  while (!before.empty() && (before.back() == ' ' || before.back() == '\n')) before.remove_suffix(1);
  for (const std::string_view end :
       {"fail(", "fail_errno(", "Error{", "Reason{", "problem(", "add(out,", ".code =", ".reason = {",
        "refuse({", "error({", "error_json({", ".refuse(", ".warn("}) {
    if (before.ends_with(end)) return true;
  }
  // `refuse(404, "code"` and `{404, error_type(404), "code"`
  if (!before.ends_with(',')) return false;
  before.remove_suffix(1);
  if (before.ends_with(')')) {
    const std::size_t open = before.rfind('(');
    return open != std::string_view::npos && before.substr(0, open).ends_with("error_type");
  }
  return before.size() > 10 && before.substr(before.size() - 10, 7) == "refuse(";
}

// `return {"code", …}`, `add("code", …` are codes too, but only with a "_": other functions are called so as
// well.
bool may_make_a_code(std::string_view before) {
  if (before.ends_with("return {") || before.ends_with(" add(")) return true;
  // A Reason after a status: `404, {"code"`
  return before.size() > 6 && before.ends_with(", {") && before[before.size() - 4] >= '0' &&
         before[before.size() - 4] <= '9';
}

std::map<std::string, std::string> codes_in_source() {
  std::map<std::string, std::string> found;
  for (const auto& [path, text] : sources()) {
    for (std::size_t open = text.find('"'); open != std::string::npos; open = text.find('"', open + 1)) {
      std::size_t close = open + 1;
      while (close < text.size() && ((text[close] >= 'a' && text[close] <= 'z') ||
                                     (text[close] >= '0' && text[close] <= '9') || text[close] == '_'))
        ++close;
      const std::string literal = text.substr(open + 1, close - open - 1);
      if (literal.empty() || close >= text.size() || text[close] != '"') continue;
      const std::string_view before = std::string_view(text).substr(0, open);
      const bool snake = literal.find('_') != std::string::npos;
      // What is added to a part of a platform has names of its own.
      const bool may = snake && !path.starts_with("render/") && may_make_a_code(before);
      if (makes_a_code(before) || may) found.emplace(literal, path);
    }
  }
  return found;
}

TEST(Reasons, EveryCodeInTheSourceIsExplained) {
  const auto codes = codes_in_source();
  EXPECT_GT(codes.size(), 80U) << "the search found next to nothing: its forms no longer fit the source";
  for (const auto& [code, path] : codes) {
    EXPECT_NE(find_reason(code), nullptr)
        << path << " uses the code \"" << code << "\": add it to src/admin/reasons_table.cpp";
  }
}

TEST(Reasons, EveryExplainedCodeIsUsed) {
  const auto files = sources();
  for (const ReasonEntry& e : reasons()) {
    if (e.code.starts_with("timeout_")) continue;  // written as "timeout_{}" with the timeout's name
    const bool used = std::any_of(files.begin(), files.end(),
                                  [&](const auto& f) { return f.second.find(e.code) != std::string::npos; });
    EXPECT_TRUE(used) << e.code << " is explained and nothing uses it";
  }
}

TEST(Reasons, TableIsSortedAndComplete) {
  const auto all = reasons();
  EXPECT_TRUE(
      std::is_sorted(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.code < b.code; }));
  for (const ReasonEntry& e : all) {
    EXPECT_EQ(find_reason(e.code), &e) << e.code << " stands twice";
    EXPECT_GT(e.meaning.size(), 20U) << e.code;
    EXPECT_FALSE(e.remedy.empty()) << e.code;
    EXPECT_TRUE(e.meaning.ends_with('.') && e.remedy.ends_with('.')) << e.code;
  }
  EXPECT_EQ(find_reason("no_such_code"), nullptr);
}

void expect_page(const std::string& name, const std::string& text) {
  const std::string path = std::string(TIDEGATE_SOURCE_DIR) + "/docs/reference/" + name;
  if (std::getenv("TIDEGATE_WRITE_REFERENCE") != nullptr) {
    ASSERT_TRUE(replace_file(path, text, 0644));
  }
  const auto page = read_file(path);
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_EQ(*page, text) << "run this test with TIDEGATE_WRITE_REFERENCE=1 to write the page anew";
}

TEST(Reasons, PageOnDiskIsTheTable) { expect_page("reasons.md", reasons_markdown()); }
TEST(AdminApiPage, OnDiskIsTheTable) { expect_page("admin-api.md", api_markdown()); }

}  // namespace
}  // namespace tg::admin
