// tidegate check
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/platform_documents.hpp"
#include "app/stdin_text.hpp"
#include "app/view.hpp"
#include "app/words.hpp"
#include "spec/load.hpp"

namespace tg::app {

namespace {

using Json = nlohmann::ordered_json;

struct CheckFlags {
  std::vector<std::string> paths, files;
};

bool has_platform(const spec::DecodeResult& result) {
  return !result.documents.platforms.empty() || !result.documents.training_runs.empty();
}

// Documents of platforms are read as render reads them, and the rules between their fields run too; what only
// serves is judged as `up` judges it.
spec::DecodeResult read(const std::vector<std::string>& paths, const std::string& input) {
  spec::DecodeResult served = spec::load(paths, input);
  if (!has_platform(served)) return served;
  spec::DecodeResult result = spec::load(paths, input, spec::Purpose::platform);
  judge(result);
  judge_rendering(result);
  return result;
}

Json object_of(const spec::DecodeResult& result) {
  Json findings = Json::array();
  for (const spec::Finding& f : result.findings) {
    findings.push_back({{"id", f.code},
                        {"severity", is_error(f) ? "error" : "warning"},
                        {"path", f.at.file},
                        {"line", f.at.line},
                        {"column", f.at.column},
                        {"field", f.path},
                        {"message", f.message},
                        {"fix", f.hint},
                        {"reference", fmt::format("docs/reference/reasons.md#{}", f.code)}});
  }
  const auto errors = std::count_if(result.findings.begin(), result.findings.end(), is_error);
  Json j;
  j["findings"] = std::move(findings);
  j["summary"] = {{"errors", errors},
                  {"warnings", static_cast<std::int64_t>(result.findings.size()) - errors},
                  {"models", result.documents.models.size()},
                  {"providers", result.documents.providers.size()},
                  {"routes", result.documents.routes.size()},
                  {"tenants", result.documents.tenants.size()},
                  {"platforms", result.documents.platforms.size()},
                  {"trainingRuns", result.documents.training_runs.size()}};
  return j;
}

Result<int> check(Terminal& terminal, const CheckFlags& flags, Format format) {
  std::vector<std::string> paths = flags.files;
  paths.insert(paths.end(), flags.paths.begin(), flags.paths.end());
  if (paths.empty())
    return fail("missing_argument", "PATH is missing: which documents?",
                "tidegate check FILE, or tidegate check - for stdin");
  std::string input;
  if (std::find(paths.begin(), paths.end(), "-") != paths.end()) {
    auto text = read_stdin("documents");
    if (!text) return std::unexpected(text.error());
    input = std::move(*text);
  }
  const spec::DecodeResult result = read(paths, input);
  const int status = result.ok() ? kGood : kFailed;
  const View view{[&] {
                    return Result<std::string>(
                        object_of(result).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
                  },
                  [&](Terminal& t, const Json&, bool) { print_findings(t, result.findings, Stream::out); },
                  [&](const Json&) {
                    std::vector<std::string> names;
                    names.reserve(result.findings.size());
                    for (const spec::Finding& f : result.findings) names.push_back(f.code);
                    return names;
                  }};
  if (auto r = show(terminal, format, view); !r) return std::unexpected(r.error());
  if (!terminal.flush()) return kFailed;
  const auto& d = result.documents;
  if (!result.ok()) {
    const auto errors = std::count_if(result.findings.begin(), result.findings.end(), is_error);
    terminal.note(fmt::format("{} error{}", errors, errors == 1 ? "" : "s"));
    terminal.next(fmt::format("tidegate explain {}",
                              std::find_if(result.findings.begin(), result.findings.end(), is_error)->code));
  } else {
    terminal.note(fmt::format("good: {} Models, {} Providers, {} Routes, {} Tenants", d.models.size(),
                              d.providers.size(), d.routes.size(), d.tenants.size()));
    if (std::find(paths.begin(), paths.end(), "-") == paths.end()) {
      const std::string all = fmt::format("{}", fmt::join(paths, " -f "));
      terminal.next(d.platforms.empty() ? "tidegate up -f " + all
                                        : fmt::format("tidegate render -f {} -o out", all));
    }
  }
  return status;
}

}  // namespace

void add_check(CommandLine& line) {
  auto flags = std::make_shared<CheckFlags>();
  Word& word = line.root().sub("check", "find what is wrong in documents, all of it in one pass");
  word.example("tidegate check models.yaml tenants/").example("generate-documents | tidegate check -");
  word.arguments("PATH", flags->paths, "file, directory or - (stdin)", false);
  word.list("-f,--file", "PATH", flags->files, "the same, as up takes it");
  word.output_flag();
  word.action_result([flags, &word](Terminal& terminal) -> Result<int> {
    auto status = check(terminal, *flags, word.format());
    if (!status && status.error().code == "missing_argument") {
      terminal.error(status.error(), word.format());
      terminal.err("\n" + word.help());
      return kWrongUse;
    }
    return status;
  });
}

}  // namespace tg::app
