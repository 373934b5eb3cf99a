// Wrong documents: every file of test/fixtures/wrong says itself, at the place, what must be found there, and
// nothing else may be.
//
// `# base: examples/x.yaml` in the first line puts the file over that document. Below a wrong line stands
// `#   ^ error[code] path: message`, the caret under the wrong column, and a line `# hint: …`; what is found
// in the base stands at the top as `# base 12:5 error[code] …`. TIDEGATE_WRITE_FIXTURES=1 writes these
// comments anew, to be read before they are kept.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <regex>
#include <set>

#include "base/files.hpp"
#include "spec/decode.hpp"
#include "verify/verify.hpp"

namespace tg::verify {
namespace {

namespace fs = std::filesystem;

const std::string kRoot = TIDEGATE_SOURCE_DIR;
const std::string kName = "wrong.yaml";  // of the file in findings, wherever the checkout is

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::size_t from = 0;
  while (from < text.size()) {
    const std::size_t end = std::min(text.find('\n', from), text.size());
    out.push_back(text.substr(from, end - from));
    from = end + 1;
  }
  return out;
}

std::string head(const spec::Finding& f) {
  return fmt::format("{}[{}] {}", f.severity == spec::Severity::error ? "error" : "warning", f.code,
                     f.message);
}

// "12:5 error[code] message | hint" of the file itself or of its base.
std::string entry(std::string_view where, int line, int column, std::string_view text,
                  std::string_view hint) {
  return fmt::format("{}{}:{} {} | {}", where, line, column, text, hint);
}

bool is_caret(const std::string& line) {
  const std::size_t start = line.find_first_not_of(' ');
  return start != std::string::npos && line[start] == '#' &&
         (line.find("^ error[") != std::string::npos || line.find("^ warning[") != std::string::npos);
}
bool is_base(const std::string& line) {
  return line.starts_with("# base ") && line.find("[") != std::string::npos;
}
bool is_hint(const std::string& line) {
  const std::size_t start = line.find_first_not_of(' ');
  return start != std::string::npos && line.compare(start, 8, "# hint: ") == 0;
}

std::string hint_below(const std::vector<std::string>& lines, std::size_t i) {
  if (i + 1 >= lines.size() || !is_hint(lines[i + 1])) return {};
  return lines[i + 1].substr(lines[i + 1].find("# hint: ") + 8);
}

std::multiset<std::string> expected(const std::vector<std::string>& lines) {
  std::multiset<std::string> out;
  int last = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string& line = lines[i];
    if (is_caret(line)) {
      const std::size_t caret = line.find('^');
      out.insert(entry("", last, static_cast<int>(caret) + 1, line.substr(caret + 2), hint_below(lines, i)));
    } else if (is_base(line)) {
      int at = 0, column = 0, read = 0;
      if (std::sscanf(line.c_str(), "# base %d:%d %n", &at, &column, &read) == 2)
        out.insert(
            entry("base ", at, column, line.substr(static_cast<std::size_t>(read)), hint_below(lines, i)));
    } else if (!is_hint(line)) {
      last = static_cast<int>(i) + 1;
    }
  }
  return out;
}

struct Found {
  std::vector<spec::Finding> findings;
  std::string base;
};

Found look(const std::string& path, const std::vector<std::string>& lines, const std::string& content) {
  Found out;
  std::vector<spec::Source> sources;
  constexpr std::string_view kBase = "# base: ";
  if (!lines.empty() && lines[0].starts_with(kBase)) {
    out.base = lines[0].substr(kBase.size());
    auto base = read_file(kRoot + "/" + out.base);
    if (!base) {
      ADD_FAILURE() << path << ": " << base.error().message;
      return out;
    }
    sources.push_back({out.base, std::move(*base)});
  }
  sources.push_back({path, content});
  const spec::DecodeResult result = spec::decode(sources, spec::Purpose::platform);
  out.findings = result.findings;
  if (result.ok()) {
    for (spec::Finding& f : check(result.documents)) out.findings.push_back(std::move(f));
  }
  std::stable_sort(out.findings.begin(), out.findings.end(), [](const auto& a, const auto& b) {
    return std::pair(a.at.line, a.at.column) < std::pair(b.at.line, b.at.column);
  });
  return out;
}

// The file with what was found written at its places.
std::string annotated(const std::vector<std::string>& lines, const Found& found) {
  std::vector<std::string> bare;
  for (const std::string& line : lines) {
    if (!is_caret(line) && !is_base(line) && !is_hint(line)) bare.push_back(line);
  }
  std::string text;
  for (const std::string& line : bare) text += line + "\n";
  const Found again = look(kName, bare, text);
  std::string out;
  for (std::size_t i = 0; i < bare.size(); ++i) {
    const bool top = i == 0 && !found.base.empty();
    out += bare[i] + "\n";
    for (const spec::Finding& f : again.findings) {
      const bool warning = f.severity == spec::Severity::warning;
      const bool here = f.at.file == kName && f.at.line == static_cast<int>(i) + 1;
      if (here && f.at.column > 1) {
        out += "#" + std::string(static_cast<std::size_t>(f.at.column) - 2, ' ') + "^ " + head(f) + "\n";
      } else if (top && f.at.file != kName && !warning) {
        out += fmt::format("# base {}:{} {}\n", f.at.line, f.at.column, head(f));
      } else {
        continue;
      }
      if (!f.hint.empty()) out += "# hint: " + f.hint + "\n";
    }
  }
  return out;
}

std::vector<std::string> files() {
  std::vector<std::string> out;
  for (const auto& e : fs::directory_iterator(kRoot + "/test/fixtures/wrong")) {
    if (e.path().extension() == ".yaml") out.push_back(e.path().stem().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

class Wrong : public testing::TestWithParam<std::string> {};

TEST_P(Wrong, IsToldAtItsPlace) {
  const std::string path = kRoot + "/test/fixtures/wrong/" + GetParam() + ".yaml";
  const auto content = read_file(path);
  ASSERT_TRUE(content);
  const std::vector<std::string> lines = lines_of(*content);
  const Found found = look(kName, lines, *content);
  if (std::getenv("TIDEGATE_WRITE_FIXTURES") != nullptr) {
    ASSERT_TRUE(replace_file(path, annotated(lines, found), 0644));
    return;
  }
  const std::multiset<std::string> wanted = expected(lines);
  ASSERT_FALSE(wanted.empty()) << path << " says nothing of what is wrong";
  std::multiset<std::string> got;
  for (const spec::Finding& f : found.findings) {
    const std::string e = entry(f.at.file == kName ? "" : "base ", f.at.line, f.at.column, head(f), f.hint);
    // Warnings are not what these files are about, unless one is expected.
    if (f.severity == spec::Severity::error || wanted.contains(e)) got.insert(e);
  }
  EXPECT_EQ(got, wanted) << path;
  for (const spec::Finding& f : found.findings) {
    EXPECT_FALSE(f.code.empty() || f.path.empty() || f.message.empty() || f.hint.empty()) << f.str();
  }
}

std::string test_name(const testing::TestParamInfo<std::string>& file) {
  std::string name = file.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Files, Wrong, testing::ValuesIn(files()), test_name);

// Every code of the rules, as it stands in their source, is told by a file.
TEST(WrongFiles, AreManyAndCoverTheRules) {
  EXPECT_GE(files().size(), 120U);
  std::string told;
  for (const std::string& file : files())
    told += *read_file(kRoot + "/test/fixtures/wrong/" + file + ".yaml");
  const std::regex code("\"([a-z]+(?:_[a-z0-9]+)+|cycle|retired)\",");
  // Told by the day, see Today; and a word of the documents.
  const std::set<std::string> others{"version_ended", "version_ends", "overlay_l2"};
  int count = 0;
  for (const auto& e : fs::directory_iterator(kRoot + "/src/verify")) {
    if (e.path().extension() != ".cpp" || e.path().stem().string().ends_with("_test")) continue;
    const std::string text = *read_file(e.path().string());
    for (std::sregex_iterator it(text.begin(), text.end(), code), end; it != end; ++it) {
      ++count;
      if (others.contains((*it)[1])) continue;
      EXPECT_NE(told.find(fmt::format("[{}]", (*it)[1].str())), std::string::npos)
          << e.path().filename() << " tells " << (*it)[1] << ", and no file of test/fixtures/wrong shows it";
    }
  }
  EXPECT_GT(count, 100) << "the search no longer fits the source";
}

std::vector<std::string> errors_of(const std::vector<spec::Source>& sources) {
  const spec::DecodeResult result = spec::decode(sources, spec::Purpose::platform);
  std::vector<std::string> out;
  for (const spec::Finding& f : result.findings) out.push_back(f.str());
  for (const spec::Finding& f : check(result.documents)) {
    if (f.severity == spec::Severity::error) out.push_back(f.str());
  }
  return out;
}

// The examples, and the variants over the example that their first line names.
TEST(GoodDocuments, GiveNoError) {
  int count = 0;
  for (const char* folder : {"/examples", "/examples/variants"}) {
    if (!fs::exists(kRoot + folder)) continue;
    for (const auto& e : fs::directory_iterator(kRoot + folder)) {
      if (e.path().extension() != ".yaml") continue;
      const auto content = read_file(e.path().string());
      ASSERT_TRUE(content);
      if (content->find("kind: Platform") == std::string::npos) continue;
      std::vector<spec::Source> sources;
      const std::vector<std::string> lines = lines_of(*content);
      constexpr std::string_view kOver = "# over ";
      if (!lines.empty() && lines[0].starts_with(kOver)) {
        const std::string name =
            "examples/" + lines[0].substr(kOver.size(), lines[0].find(':') - kOver.size()) + ".yaml";
        const auto under = read_file(kRoot + "/" + name);
        ASSERT_TRUE(under) << name;
        sources.push_back({name, *under});
      }
      sources.push_back({e.path().string(), *content});
      EXPECT_EQ(errors_of(sources), std::vector<std::string>()) << e.path();
      ++count;
    }
  }
  EXPECT_GE(count, 6);
}

TEST(Today, AddsWarningsOfWhatEnds) {
  const std::string text =
      "apiVersion: tidegate.dev/v1alpha1\nkind: Platform\nmetadata: {name: p}\nspec:\n  cluster: {version: "
      "\"1.36\"}\n  infrastructure: {clusterApi: {management: {rancher: {hostname: a.example.com}}}}\n  "
      "components: {chat: none}\n";
  const auto documents = spec::decode({{"p.yaml", text}}, spec::Purpose::platform);
  ASSERT_TRUE(documents.ok()) << documents.text();
  const auto codes = [&](std::string_view today) {
    std::vector<std::string> out;
    for (const spec::Finding& f : check(documents.documents, today)) out.push_back(f.code);
    return out;
  };
  EXPECT_EQ(codes("2026-11-21"), std::vector<std::string>());
  EXPECT_EQ(codes("2027-05-01"), std::vector<std::string>{"version_ends"});
  EXPECT_EQ(codes("2027-07-01"), std::vector<std::string>{"version_ended"});
  EXPECT_EQ(codes("1999-01-01"), std::vector<std::string>()) << "no day before the catalog's counts";
}

}  // namespace
}  // namespace tg::verify
