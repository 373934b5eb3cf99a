// tidegate init: the first document of a new Platform
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <set>
#include <string>

#include "app/platform_documents.hpp"
#include "app/starting_document.hpp"
#include "app/words.hpp"
#include "base/files.hpp"

namespace tg::app {

namespace {

struct InitFlags {
  Start start;
  std::string out = "platform.yaml";
  bool no_input = false;
};

// One answer; an empty line takes the fallback.
Result<std::string> ask(Terminal& terminal, const std::string& text, const std::string& fallback) {
  terminal.err(fallback.empty() ? fmt::format("{}: ", text) : fmt::format("{} [{}]: ", text, fallback));
  std::string line;
  if (!std::getline(std::cin, line)) {
    terminal.err("\n");
    return fail("missing_argument", fmt::format("no answer to '{}'", text),
                "tidegate init --help names the flags");
  }
  const std::size_t first = line.find_first_not_of(" \t");
  if (first == std::string::npos) return fallback;
  return line.substr(first, line.find_last_not_of(" \t") - first + 1);
}

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> out;
  std::size_t at = 0;
  while ((at = line.find_first_not_of(" ,\t", at)) != std::string::npos) {
    const std::size_t end = std::min(line.find_first_of(" ,\t", at), line.size());
    out.push_back(line.substr(at, end - at));
    at = end;
  }
  return out;
}

Result<> ask_all(Terminal& terminal, Start& start) {
  if (start.platform.empty()) {
    for (const PlatformChoice& c : platform_choices())
      terminal.err(fmt::format("  {:<12} {}\n", c.word, c.meaning));
    auto answer = ask(terminal, "Where does it run", "k3s");
    if (!answer) return std::unexpected(answer.error());
    start.platform = std::move(*answer);
  }
  // One answer may bring the next question.
  std::set<std::string> asked;
  for (;;) {
    const std::vector<Question> open = questions(start);
    const auto next =
        std::find_if(open.begin(), open.end(), [&](const Question& q) { return !asked.contains(q.flag); });
    if (next == open.end()) return {};
    asked.insert(next->flag);
    auto answer = ask(terminal, next->text, next->fallback);
    while (answer && answer->empty() && next->required) answer = ask(terminal, next->text, next->fallback);
    if (!answer) return std::unexpected(answer.error());
    if (next->answer == nullptr)
      start.hosts = words_of(*answer);
    else
      start.*(next->answer) = std::move(*answer);
  }
}

// What check and render would say; a starting document has no errors, so these are of the answers.
Result<> refuse_errors(Terminal& terminal, const std::string& document) {
  spec::DecodeResult result = spec::decode({{"the answers", document}}, spec::Purpose::platform);
  judge(result);
  judge_rendering(result);
  std::erase_if(result.findings, [](const spec::Finding& f) { return !is_error(f); });
  if (result.findings.empty()) return {};
  print_findings(terminal, result.findings, Stream::err);
  return fail("documents_invalid", "with these answers the document is wrong, nothing is written",
              "answer with what the hints above say");
}

Result<int> init(Terminal& terminal, InitFlags& flags) {
  if (auto place = refuse_format(flags.out); !place) return std::unexpected(place.error());
  const bool to_file = flags.out != "-";
  std::error_code error;
  if (to_file && std::filesystem::exists(std::filesystem::symlink_status(flags.out, error))) {
    return fail("file_exists",
                fmt::format("{} is there already, and init never writes over a file", flags.out),
                "choose another name with -o FILE, or -o - for standard output");
  }
  const bool asks = !flags.no_input && ::isatty(0) == 1 && terminal.err_is_terminal();
  if (asks) {
    if (auto done = ask_all(terminal, flags.start); !done) return std::unexpected(done.error());
  } else if (flags.start.platform.empty()) {
    return fail("missing_argument", "--platform is missing: where does it run?",
                "tidegate init --platform k3s --host node1=192.168.1.20");
  }
  const auto document = starting_document(flags.start);
  if (!document) return std::unexpected(document.error());
  if (auto good = refuse_errors(terminal, *document); !good) return std::unexpected(good.error());
  if (!to_file) {
    terminal.out(*document);
    return kGood;
  }
  if (auto done = replace_file(flags.out, *document, 0644); !done) return std::unexpected(done.error());
  terminal.note(fmt::format("{} is written; from here on it is yours", flags.out));
  terminal.next(fmt::format("tidegate render -f {} -o out", flags.out));
  return kGood;
}

}  // namespace

void add_init(CommandLine& line) {
  auto flags = std::make_shared<InitFlags>();
  Start& start = flags->start;
  Word& word = line.root().sub("init", "write the first document of a Platform");
  word.example("tidegate init")
      .example("tidegate init --platform k3s --host node1=192.168.1.20")
      .example("tidegate init --platform aws --domain example.com -o aws.yaml");
  std::string words;
  for (const PlatformChoice& c : platform_choices())
    words += fmt::format("{}{}", words.empty() ? "" : ", ", c.word);
  word.option("--platform", "WHERE", start.platform, words);
  word.option("--name", "NAME", start.name, "of the platform; else llm");
  word.option("--domain", "DOMAIN", start.domain, "of what is published; else nothing is");
  word.option("--email", "ADDRESS", start.email, "of those who answer for it");
  word.option("--region", "REGION", start.region, "of a cloud");
  word.option("--project", "NAME", start.project, "of google");
  word.option("--context", "NAME", start.context, "of the kubeconfig of an existing cluster");
  word.list("--host", "NAME=ADDRESS", start.hosts,
            "of bare-metal and k3s, again for each; first the control plane");
  word.option("--network", "CIDR", start.network, "of bare-metal's hosts; else the /24 of the first");
  word.option("-o,--out", "FILE", flags->out, "a new file, or - (stdout); else platform.yaml");
  word.flag("--no-input", flags->no_input, "ask nothing");
  word.action_result([flags](Terminal& terminal) { return init(terminal, *flags); });
}

}  // namespace tg::app
