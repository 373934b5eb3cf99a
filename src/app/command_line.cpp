#include "app/command_line.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cctype>

#include "app/help.hpp"
#include "base/units.hpp"
#include "text/suggest.hpp"

namespace tg::app {

namespace {

std::vector<std::string> split_names(std::string_view names) {
  std::vector<std::string> out;
  while (!names.empty()) {
    const std::size_t comma = names.find(',');
    out.emplace_back(names.substr(0, comma));
    names = comma == std::string_view::npos ? std::string_view() : names.substr(comma + 1);
  }
  return out;
}

// -o json anywhere: so that errors of the parse itself obey it.
bool wants_json(const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& a = arguments[i];
    if (a == "-ojson" || a == "-o=json" || a == "--output=json") return true;
    if ((a == "-o" || a == "--output") && i + 1 < arguments.size() && arguments[i + 1] == "json") return true;
  }
  return false;
}

// "tidegate keys create"
std::string full_name(const Word& root, const Word& word) {
  const std::string path = word.path();
  return path.empty() ? root.name() : root.name() + " " + path;
}

std::string flag_name(std::string_view argument) { return printable(argument.substr(0, argument.find('='))); }

}  // namespace

struct Word::Impl {
  std::unique_ptr<CLI::App> owned;  // the root only; CLI11 owns the others
  CLI::App* app = nullptr;
  std::vector<std::function<Result<>()>> checks;  // after the parse, before the action
};

Word::Word(Word* parent, std::string name, std::string summary)
    : parent_(parent), name_(std::move(name)), summary_(std::move(summary)), impl_(std::make_unique<Impl>()) {
  if (parent_ == nullptr) {
    impl_->owned = std::make_unique<CLI::App>(summary_, name_);
    impl_->app = impl_->owned.get();
  } else {
    impl_->app = parent_->impl_->app->add_subcommand(name_, summary_);
    parent_->impl_->app->require_subcommand(0, 1);
  }
  CLI::App& app = *impl_->app;
  app.set_help_flag();
  app.allow_extras();
  app.add_flag("-h,--help", help_asked_);
  app.add_flag("--no-color", no_color_);
  flags_.push_back({"-h,--help", "", "", false, false});
  flags_.push_back({"--no-color", "", "", false, false});
}

Word::~Word() = default;

Word& Word::sub(std::string name, std::string summary) {
  words_.push_back(std::unique_ptr<Word>(new Word(this, std::move(name), std::move(summary))));
  return *words_.back();
}

Word& Word::example(std::string command) {
  examples_.push_back(std::move(command));
  return *this;
}

Word& Word::flag(std::string names, bool& target, std::string help) {
  impl_->app->add_flag(names, target);
  flags_.push_back({std::move(names), "", std::move(help), false, false});
  return *this;
}

Word& Word::option(std::string names, std::string value, std::string& target, std::string help) {
  impl_->app->add_option(names, target);
  flags_.push_back({std::move(names), std::move(value), std::move(help), false, false});
  return *this;
}

Word& Word::number(std::string names, std::string value, std::int64_t& target, std::string help,
                   std::int64_t least) {
  auto text = std::make_shared<std::string>();
  impl_->app->add_option(names, *text);
  impl_->checks.push_back([text, name = split_names(names).back(), &target, least]() -> Result<> {
    if (text->empty()) return {};
    const auto count = parse_count(*text);
    if (!count)
      return fail("bad_flag", fmt::format("{} '{}': not a count", name, printable(*text)),
                  "write a number such as 60 or 4k");
    if (*count < least)
      return fail("bad_flag", fmt::format("{} {}: below {}", name, *count, least),
                  fmt::format("write {} or more, or leave {} out", least, name));
    target = *count;
    return {};
  });
  flags_.push_back({std::move(names), std::move(value), std::move(help), false, false});
  return *this;
}

Word& Word::list(std::string names, std::string value, std::vector<std::string>& target, std::string help) {
  impl_->app->add_option(names, target)->allow_extra_args(false);
  flags_.push_back({std::move(names), std::move(value), std::move(help), false, false});
  return *this;
}

Word& Word::argument(std::string name, std::string& target, std::string help, bool required) {
  impl_->app->add_option(name, target);
  impl_->checks.push_back([name, &target, required]() -> Result<> {
    if (required && target.empty()) return fail("missing_argument", fmt::format("{} is missing", name));
    return {};
  });
  flags_.push_back({std::move(name), "", std::move(help), true, required});
  return *this;
}

Word& Word::arguments(const std::string& name, std::vector<std::string>& target, std::string help,
                      bool required) {
  impl_->app->add_option(name, target);
  impl_->checks.push_back([name, &target, required]() -> Result<> {
    if (required && target.empty()) return fail("missing_argument", fmt::format("{} is missing", name));
    return {};
  });
  flags_.push_back({name + "...", "", std::move(help), true, required});
  return *this;
}

Word& Word::data_flag(std::string& target) { return option("--data", "DIR", target, "data directory"); }

Word& Word::output_flag(bool csv) {
  has_output_ = true;
  csv_ = csv;
  return option("-o,--output", "FORMAT", output_,
                csv ? "table, wide, json, yaml, name or csv" : "table, wide, json, yaml or name");
}

Word& Word::action_result(std::function<Result<int>(Terminal&)> run) {
  run_ = [this, run = std::move(run)](Terminal& terminal) {
    const Result<int> result = run(terminal);
    if (result) return *result;
    terminal.error(result.error(), format_);
    return is_wrong_use(result.error().code) ? kWrongUse : kFailed;
  };
  return *this;
}

std::string Word::path() const {
  if (parent_ == nullptr) return {};
  const std::string above = parent_->path();
  return above.empty() ? name_ : above + " " + name_;
}

const Word::Flag* Word::flag_named(std::string_view name) const {
  for (const Flag& f : flags_) {
    for (const std::string& n : split_names(f.names)) {
      if (n == name) return &f;
    }
  }
  return nullptr;
}

std::string Word::help() const {
  HelpPage page;
  page.path = path();
  page.summary = summary_;
  page.examples = examples_;
  for (const auto& w : words_) {
    page.words.push_back({w->name_, w->summary_});
  }
  for (const Flag& f : flags_) {
    if (f.positional) page.arguments.push_back({f.required ? f.names : fmt::format("[{}]", f.names), f.help});
  }
  for (const Flag& f : flags_) {
    if (f.positional || f.help.empty())
      continue;  // --help and --no-color stand in the last line of every page
    std::vector<std::string> names = split_names(f.names);
    std::string shown = fmt::format("{}", fmt::join(names, ", "));
    if (!f.value.empty()) shown += " " + f.value;
    page.flags.push_back({std::move(shown), f.help});
  }
  return format_help(page);
}

CommandLine::CommandLine(std::string program, std::string summary, std::string version)
    : version_(std::move(version)), root_(new Word(nullptr, std::move(program), std::move(summary))) {
  root_->flag("--version", version_asked_, "");
}

CommandLine::~CommandLine() = default;

std::vector<const Word*> CommandLine::all() const {
  std::vector<const Word*> found{root_.get()};
  for (std::size_t i = 0; i < found.size(); ++i) {
    for (const auto& w : found[i]->words_) {
      found.push_back(w.get());
    }
  }
  return found;
}

int CommandLine::parse_failed(Terminal& terminal, const Word& word, const std::string& code,
                              const std::string& message, Format format) {
  terminal.error({code, message, full_name(*root_, word) + " --help"}, format);
  return kWrongUse;
}

std::string CommandLine::reference_markdown() const {
  std::string page =
      "# Command line\n\n"
      "Data goes to stdout, everything else to stderr. Exit status: 0 good, 1 findings or failed work, 2 "
      "wrong use, 130 and 143\n"
      "when ended by Ctrl-C or SIGTERM. `-o json` prints the object of the [admin API](admin-api.md) "
      "unchanged, on failure its error\n"
      "object. Colour is used on a terminal only and switched off by `--no-color`, `NO_COLOR` or "
      "`TERM=dumb`, on by\n"
      "`CLICOLOR_FORCE`. The data directory is `--data`, else `$XDG_DATA_HOME/tidegate`, else "
      "`~/.local/share/tidegate`, without a\n"
      "home `/var/lib/tidegate`. `tidegate explain CODE` has the long form of every [code](reasons.md).\n\n"
      "<!-- Made from --help of each word; a test compares. -->\n";
  for (const Word* w : all())
    page += fmt::format("\n## {}\n\n```text\n{}```\n", full_name(*root_, *w), w->help());
  return page;
}

// Flags may stand before the words too: `-o json keys list` becomes `keys list -o json`.
std::vector<std::string> CommandLine::words_first(const std::vector<std::string>& arguments) const {
  const auto takes_value = [&](const std::string& flag) {
    for (const Word* w : all()) {
      const Word::Flag* f = w->flag_named(flag);
      if (f != nullptr && !f->value.empty()) return true;
    }
    return false;
  };
  const Word* word = root_.get();
  std::vector<std::string> words, rest;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& a = arguments[i];
    if (word->words_.empty()) {
      rest.push_back(a);
    } else if (a.size() > 1 && a.front() == '-') {
      rest.push_back(a);
      if (a.find('=') == std::string::npos && i + 1 < arguments.size() && takes_value(a))
        rest.push_back(arguments[++i]);
    } else {
      const auto below = std::find_if(word->words_.begin(), word->words_.end(),
                                      [&](const auto& w) { return w->name_ == a; });
      if (below == word->words_.end()) {
        // No word: it is found unknown later, and stands first so that it is what the error names.
        words.insert(words.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i), arguments.end());
        break;
      }
      words.push_back(a);
      word = below->get();
    }
  }
  words.insert(words.end(), rest.begin(), rest.end());
  return words;
}

int CommandLine::run(int argc, const char* const* argv) {
  const std::vector<std::string> arguments = words_first({argv + std::min(argc, 1), argv + argc});
  const bool no_color = std::find(arguments.begin(), arguments.end(), "--no-color") != arguments.end();
  Terminal terminal(no_color);
  const Format early = wants_json(arguments) ? Format::json : Format::table;

  if (const std::string what = secret_on_command_line(arguments); !what.empty()) {
    terminal.error(
        {"secret_on_command_line",
         fmt::format("{} on the command line: every user of this machine can read it there", what),
         "give it by standard input (-), a file or the environment, and consider it known to others"},
        early);
    return kWrongUse;
  }

  // CLI11 reports by exceptions; they end here.
  std::string thrown, thrown_kind;
  try {
    root_->impl_->app->parse(
        std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 takes them from the back
  } catch (const CLI::ParseError& e) {
    thrown = e.what();
    thrown_kind = e.get_name();
  }

  Word* word = root_.get();
  for (bool deeper = true; deeper;) {
    deeper = false;
    for (const auto& w : word->words_) {
      if (w->impl_->app->parsed()) {
        word = w.get();
        deeper = true;
        break;
      }
    }
  }
  if (word->help_asked_) {
    terminal.out(word->help());
    return terminal.flush() ? kGood : kFailed;
  }
  if (version_asked_) {
    terminal.out(fmt::format("{} {}\n", root_->name(), version_));
    return terminal.flush() ? kGood : kFailed;
  }

  for (const Word* w = root_.get(); w != nullptr;) {
    const std::vector<std::string> rest = w->impl_->app->remaining();
    if (!rest.empty()) {
      const std::string& first = rest.front();
      if (first.size() > 1 && first.front() == '-') {
        std::vector<std::string> names;
        for (const Word::Flag& f : word->flags_) {
          if (!f.positional) {
            for (std::string& n : split_names(f.names)) names.push_back(std::move(n));
          }
        }
        const std::string name = flag_name(first);
        const std::string near = text::did_you_mean(name, names);
        terminal.error(
            {"unknown_flag", fmt::format("'{}' is not a flag of {}", name, full_name(*root_, *word)),
             near.empty() ? full_name(*root_, *word) + " --help lists the flags" : near},
            early);
        return kWrongUse;
      }
      std::vector<std::string> names;
      names.reserve(w->words_.size());
      for (const auto& sub : w->words_) {
        names.push_back(sub->name_);
      }
      const std::string near = text::did_you_mean(first, names);
      const std::string help = full_name(*root_, *w) + " --help";
      if (names.empty()) {
        terminal.error({"unknown_word", fmt::format("'{}' is one argument too many", printable(first)), help},
                       early);
      } else {
        terminal.error(
            {"unknown_word", fmt::format("'{}' is not a word of {}", printable(first), full_name(*root_, *w)),
             near.empty() ? help + " lists the words" : near},
            early);
      }
      return kWrongUse;
    }
    const Word* next = nullptr;
    for (const auto& sub : w->words_) {
      if (sub->impl_->app->parsed()) next = sub.get();
    }
    w = next;
  }

  if (!thrown.empty()) {
    const std::string name = thrown.substr(0, thrown.find(':'));
    if (thrown_kind == "ArgumentMismatch") {
      const bool missing = thrown.find("missing") != std::string::npos ||
                           thrown.find("required but received 0") != std::string::npos;
      const Word::Flag* flag = word->flag_named(name);
      if (missing && flag != nullptr) {
        return parse_failed(terminal, *word, "missing_value",
                            fmt::format("{} needs a value: {}", name, flag->value), early);
      }
      if (flag != nullptr)
        return parse_failed(terminal, *word, "bad_flag", fmt::format("{} is given more than once", name),
                            early);
    }
    return parse_failed(terminal, *word, "bad_flag", printable(thrown), early);
  }

  if (word->has_output_ && !word->output_.empty()) {
    const auto format = parse_format(word->output_, word->csv_);
    if (!format) {
      terminal.error(format.error(), early);
      return kWrongUse;
    }
    word->format_ = *format;
  }
  for (const auto& check : word->impl_->checks) {
    const Result<> r = check();
    if (r) continue;
    terminal.error(r.error(), word->format_);
    if (r.error().code == "missing_argument") terminal.err("\n" + word->help());
    return kWrongUse;
  }
  if (!word->run_) {
    // A word that needs another one.
    terminal.err(word->help());
    if (early == Format::json) {
      terminal.out(R"({"error":{"code":"missing_argument","message":"a word is missing","hint":""}})"
                   "\n");
    }
    return kWrongUse;
  }
  const int status = word->run_(terminal);
  return terminal.flush() || status != kGood ? status : kFailed;
}

std::string secret_on_command_line(const std::vector<std::string>& arguments) {
  static constexpr std::array<std::string_view, 6> kFlags = {"--key",      "--api-key", "--token",
                                                             "--password", "--secret",  "--bearer"};
  const auto run_length = [](std::string_view text) {
    const auto end = std::find_if(text.begin(), text.end(), [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-' && c != '_';
    });
    return static_cast<std::size_t>(end - text.begin());
  };
  for (const std::string& argument : arguments) {
    const std::string_view a = argument;
    for (const std::string_view f : kFlags) {
      if (a.starts_with(f) && (a.size() == f.size() || a[f.size()] == '=')) return std::string(f);
    }
    for (std::size_t at = a.find("tg-"); at != std::string_view::npos; at = a.find("tg-", at + 1)) {
      // A mistyped key is a secret too; names of files and models have no such long runs without a blank or
      // sign.
      const std::string_view rest = a.substr(at + 3);
      const auto end = std::find_if(rest.begin(), rest.end(),
                                    [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
      if (end - rest.begin() >= 30) return "a client key";
    }
    for (const auto& [prefix, what] :
         {std::pair<std::string_view, std::string_view>{"sk-", "a provider's key"},
          {"hf_", "a Hugging Face token"}}) {
      if (a.starts_with(prefix) && run_length(a) >= 24) return std::string(what);
    }
  }
  return {};
}

bool is_wrong_use(std::string_view code) {
  static constexpr std::array<std::string_view, 16> kCodes = {
      "bad_flag",         "missing_argument", "missing_value",          "unknown_flag",   "unknown_word",
      "unknown_name",     "unknown_field",    "data_dir_in_use",        "data_dir_newer", "no_data_dir",
      "query_invalid",    "unknown_kind",     "secret_on_command_line", "address_in_use", "bad_address",
      "documents_invalid"};
  return std::find(kCodes.begin(), kCodes.end(), code) != kCodes.end();
}

}  // namespace tg::app
