// The thin layer over the parser, with words made for the test; the real words are run by
// test/e2e/test_cli_points.py.
#include "app/command_line.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "app/words.hpp"
#include "base/files.hpp"
#include "base/id.hpp"

namespace tg::app {
namespace {

struct Seen {
  std::string name, argument;
  std::vector<std::string> files;
  std::int64_t number = 7;
  bool flag = false, ran = false;
  Format format = Format::table;
};

// Runs `program ARGUMENTS…` and gives back status, stdout and stderr.
struct Ran {
  int status = -1;
  std::string out, err;
  Seen seen;
};

Ran run(std::vector<std::string> arguments) {
  Ran ran;
  Seen& seen = ran.seen;
  CommandLine line("program", "does things", "1.0");
  Word& things = line.root().sub("things", "many of them");
  Word& make = things.sub("make", "one more");
  make.option("--name", "NAME", seen.name, "its name").list("-f,--file", "FILE", seen.files, "files");
  make.number("--number", "N", seen.number, "how many")
      .flag("--dry-run", seen.flag, "not really")
      .output_flag();
  make.argument("WHAT", seen.argument, "what to make");
  make.action_result([&](Terminal& terminal) -> Result<int> {
    seen.ran = true;
    seen.format = make.format();
    terminal.out("made\n");
    if (seen.argument == "broken") return fail("cannot_write", "cannot make broken", "make another one");
    if (seen.argument == "wrong") return fail("bad_flag", "wrong");
    return kGood;
  });
  arguments.insert(arguments.begin(), "program");
  std::vector<const char*> argv;
  argv.reserve(arguments.size());
  for (const std::string& a : arguments) argv.push_back(a.c_str());
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  ran.status = line.run(static_cast<int>(argv.size()), argv.data());
  ran.out = ::testing::internal::GetCapturedStdout();
  ran.err = ::testing::internal::GetCapturedStderr();
  return ran;
}

TEST(CommandLine, TakesFlagsInAnyOrderAlsoBeforeTheWords) {
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"things", "make", "x", "--name", "n", "-f", "a", "-f", "-",
                                              "--number=4k", "--dry-run", "-o", "json"},
                                             {"-o", "json", "things", "--name", "n", "make", "--dry-run",
                                              "-f", "a", "x", "--number", "4k", "--file=-"}}) {
    const Ran r = run(arguments);
    EXPECT_EQ(r.status, 0) << r.err;
    EXPECT_EQ(r.seen.argument, "x");
    EXPECT_EQ(r.seen.name, "n");
    EXPECT_EQ(r.seen.files, (std::vector<std::string>{"a", "-"}));
    EXPECT_EQ(r.seen.number, 4000);
    EXPECT_TRUE(r.seen.flag);
    EXPECT_EQ(r.seen.format, Format::json);
    EXPECT_EQ(r.out, "made\n");
  }
}

TEST(CommandLine, ProposesNearNames) {
  Ran r = run({"thinks"});
  EXPECT_EQ(r.status, 2);
  EXPECT_EQ(r.err, "error: 'thinks' is not a word of program [unknown_word]\nhint: did you mean 'things'?\n");
  r = run({"things", "mak"});
  EXPECT_NE(r.err.find("did you mean 'make'?"), std::string::npos) << r.err;
  r = run({"things", "make", "x", "--nmae", "n"});
  EXPECT_EQ(r.status, 2);
  EXPECT_NE(r.err.find("'--nmae' is not a flag of program things make"), std::string::npos) << r.err;
  EXPECT_NE(r.err.find("did you mean '--name'?"), std::string::npos) << r.err;
  EXPECT_FALSE(r.seen.ran);
}

TEST(CommandLine, SaysWhatIsMissingOrTooMuch) {
  EXPECT_NE(run({"things", "make"}).err.find("WHAT is missing"), std::string::npos);
  EXPECT_NE(run({"things", "make"}).err.find("usage: "), std::string::npos);
  EXPECT_NE(run({"things", "make", "x", "--name"}).err.find("--name needs a value: NAME"), std::string::npos);
  EXPECT_NE(run({"things", "make", "x", "y"}).err.find("'y' is one argument too many"), std::string::npos);
  EXPECT_NE(
      run({"things", "make", "x", "--name", "a", "--name", "b"}).err.find("--name is given more than once"),
      std::string::npos);
  EXPECT_NE(run({"things", "make", "x", "--number", "many"}).err.find("--number 'many': not a count"),
            std::string::npos);
  EXPECT_NE(run({"things", "make", "x", "-o", "xml"}).err.find("--output 'xml': no such format"),
            std::string::npos);
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {}, {"things"}, {"things", "make"}, {"things", "make", "x", "y"}}) {
    const Ran r = run(arguments);
    EXPECT_EQ(r.status, 2);
    EXPECT_EQ(r.out, "");
    EXPECT_FALSE(r.seen.ran);
  }
}

TEST(CommandLine, ErrorsOfTheWorkHaveStatusOneAndJsonOnDemand) {
  Ran r = run({"things", "make", "broken", "-o", "json"});
  EXPECT_EQ(r.status, 1);
  EXPECT_NE(
      r.out.find(
          R"({"error":{"code":"cannot_write","message":"cannot make broken","hint":"make another one"}})"),
      std::string::npos)
      << r.out;
  EXPECT_EQ(r.err, "error: cannot make broken [cannot_write]\nhint: make another one\n");
  EXPECT_EQ(run({"things", "make", "wrong"}).status, 2);
  r = run({"things", "mak", "-o", "json"});
  EXPECT_EQ(r.status, 2);
  EXPECT_EQ(r.out.substr(0, 34), R"({"error":{"code":"unknown_word","m)");
}

TEST(CommandLine, RefusesSecrets) {
  const std::string key = make_key();
  const std::string mistyped = "tg-" + std::string(44, 'a');
  for (const std::string& secret : {key, "--name=" + key, mistyped, "sk-" + std::string(40, 'b'),
                                    "hf_" + std::string(30, 'c'), std::string("--api-key=x")}) {
    const Ran r = run({"things", "make", secret});
    EXPECT_EQ(r.status, 2) << secret;
    EXPECT_NE(r.err.find("[secret_on_command_line]"), std::string::npos) << secret;
    if (secret.size() > 20) {
      EXPECT_EQ(r.err.find(secret), std::string::npos) << "the secret is repeated";
    }
    EXPECT_FALSE(r.seen.ran);
  }
  EXPECT_EQ(secret_on_command_line({"tg-abcde", "--model", "sk-1", "--keyboard",
                                    "/data/tg-a-long-name-of-some-model-or-file.yaml"}),
            "");
}

TEST(CommandLine, HelpAndVersionGoToStdout) {
  Ran r = run({"--version"});
  EXPECT_EQ(r.out, "program 1.0\n");
  r = run({"things", "make", "--help"});
  EXPECT_EQ(r.status, 0);
  EXPECT_EQ(r.out.substr(0, 29), "tidegate things make: one mor");
  EXPECT_EQ(r.err, "");
}

TEST(Words, HelpFitsATerminalAndLeadsWithExamples) {
  CommandLine line("tidegate", "one URL", "1");
  add_words(line);
  for (const Word* w : line.all()) {
    const std::string help = w->help();
    EXPECT_LE(std::count(help.begin(), help.end(), '\n'), 24) << w->path();
    std::size_t examples = 0, first = std::string::npos;
    for (std::size_t at = 0; at < help.size();) {
      const std::size_t end = help.find('\n', at);
      const std::string text = help.substr(at, end - at);
      EXPECT_LE(text.size(), 80U) << w->path() << ": " << text;
      if (text.starts_with("  tidegate ") || text.find("| tidegate ") != std::string::npos) {
        ++examples;
        first = std::min(first, at);
      }
      at = end + 1;
    }
    EXPECT_GE(examples, 2U) << w->path();
    EXPECT_LT(first, help.find("\nusage: ")) << w->path();
    EXPECT_NE(help.find("\nDocs: docs/reference/command-line.md#"), std::string::npos);
  }
}

TEST(Words, ReferencePageIsTheHelp) {
  CommandLine line("tidegate", "one URL for models that start when they are asked for", "1");
  add_words(line);
  const std::string path = std::string(TIDEGATE_SOURCE_DIR) + "/docs/reference/command-line.md";
  if (std::getenv("TIDEGATE_WRITE_REFERENCE") != nullptr) {
    ASSERT_TRUE(replace_file(path, line.reference_markdown(), 0644));
  }
  const auto page = read_file(path);
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_EQ(*page, line.reference_markdown())
      << "run this test with TIDEGATE_WRITE_REFERENCE=1 to write the page anew";
}

}  // namespace
}  // namespace tg::app
