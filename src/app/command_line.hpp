// The words of the program as values: what each is called, its flags, its help. A thin layer over CLI11,
// which only command_line.cpp sees: help leads with examples and fits 24 × 80, unknown words and flags get
// "did you mean", and the exit status is 0 good, 1 findings or failed work, 2 wrong use.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "app/terminal.hpp"
#include "base/error.hpp"

namespace tg::app {

inline constexpr int kGood = 0;
inline constexpr int kFailed = 1;
inline constexpr int kWrongUse = 2;

class CommandLine;

// One word, perhaps with words below it. Made by CommandLine and Word::sub; lives as long as its CommandLine.
// What is bound to a flag must live until run() has returned: keep it in the closure given to action().
class Word {
 public:
  ~Word();
  Word(const Word&) = delete;
  Word& operator=(const Word&) = delete;

  Word& sub(std::string name, std::string summary);
  // Two real ones at least; they lead the help.
  Word& example(std::string command);

  // `names` as "-f,--file" or "--dry-run". `value` as shown: "FILE".
  Word& flag(std::string names, bool& target, std::string help);
  Word& option(std::string names, std::string value, std::string& target, std::string help);
  Word& number(std::string names, std::string value, std::int64_t& target, std::string help,
               std::int64_t least = 0);  // "4k" allowed
  Word& list(std::string names, std::string value, std::vector<std::string>& target,
             std::string help);  // may be repeated
  Word& argument(std::string name, std::string& target, std::string help, bool required = true);
  Word& arguments(const std::string& name, std::vector<std::string>& target, std::string help,
                  bool required = true);

  // Adds --data DIR; `target` gets the flag's value ("" = the default place).
  Word& data_flag(std::string& target);
  // Adds -o/--output. `csv`: that format is allowed too.
  Word& output_flag(bool csv = false);
  // The format asked for; also while errors are printed.
  Format format() const { return format_; }

  // What the word does; returns the exit status. An error is printed in the common form with status 1, or 2
  // for codes of wrong use.
  Word& action_result(std::function<Result<int>(Terminal&)> run);

  std::string path() const;  // "keys create", "" for the program itself
  const std::string& name() const { return name_; }
  const std::string& summary() const { return summary_; }
  std::string help() const;

 private:
  friend class CommandLine;
  struct Flag {
    std::string names, value, help;
    bool positional = false, required = false;
  };
  struct Impl;
  Word(Word* parent, std::string name, std::string summary);
  const Flag* flag_named(std::string_view name) const;

  Word* parent_;
  std::string name_, summary_;
  std::vector<std::string> examples_;
  std::vector<Flag> flags_;
  std::vector<std::unique_ptr<Word>> words_;
  std::function<int(Terminal&)> run_;
  std::string output_;
  Format format_ = Format::table;
  bool csv_ = false, has_output_ = false, help_asked_ = false, no_color_ = false;
  std::unique_ptr<Impl> impl_;
};

class CommandLine {
 public:
  CommandLine(std::string program, std::string summary, std::string version);
  ~CommandLine();
  Word& root() { return *root_; }
  // Parses and runs. argv[0] is skipped. Returns the exit status.
  int run(int argc, const char* const* argv);
  // Every word, parents first.
  std::vector<const Word*> all() const;
  // docs/reference/command-line.md, whole: the help of every word.
  std::string reference_markdown() const;

 private:
  std::vector<std::string> words_first(const std::vector<std::string>& arguments) const;
  int parse_failed(Terminal& terminal, const Word& word, const std::string& code, const std::string& message,
                   Format format);
  std::string version_;
  bool version_asked_ = false;
  std::unique_ptr<Word> root_;
};

// A secret among the arguments: what it looks like, never its text. Empty = none. `argv` without the
// program's name.
std::string secret_on_command_line(const std::vector<std::string>& arguments);

// True for errors that mean wrong use (exit status 2).
bool is_wrong_use(std::string_view code);

}  // namespace tg::app
