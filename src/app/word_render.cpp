// tidegate render: the whole tree of a platform as files
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "app/platform_documents.hpp"
#include "app/stdin_text.hpp"
#include "app/view.hpp"
#include "app/words.hpp"
#include "base/files.hpp"
#include "render/render.hpp"

namespace tg::app {

namespace {

struct RenderFlags {
  std::vector<std::string> files;
  std::string out, only, diff, platform, environment, outputs;
};

Result<int> deliver(Terminal& terminal, const RenderFlags& flags, const render::Tree& tree) {
  if (!flags.diff.empty()) {
    auto difference = render::diff_tree(flags.diff, tree);
    if (!difference) return std::unexpected(difference.error());
    terminal.out(printable(*difference));
    if (difference->empty()) terminal.note("nothing differs");
    return difference->empty() ? kGood : kFailed;
  }
  if (auto done = render::write_tree(tree, flags.out, flags.only.empty()); !done)
    return std::unexpected(done.error());
  terminal.note(fmt::format("{} files in {}", tree.files().size(), flags.out));
  if (flags.only.empty()) terminal.next(fmt::format("less {}/RUNBOOK.md", flags.out));
  return kGood;
}

// The file of --outputs; nothing without the flag.
Result<std::optional<render::OutputValues>> read_outputs(const RenderFlags& flags) {
  if (flags.outputs.empty()) return std::optional<render::OutputValues>();
  const bool piped = flags.outputs == "-";
  if (piped && std::find(flags.files.begin(), flags.files.end(), "-") != flags.files.end())
    return fail("bad_flag", "standard input cannot be both the documents and their outputs",
                "write one of them into a file");
  auto text = piped ? read_stdin("what tofu output -json prints") : read_file(flags.outputs);
  if (!text) return std::unexpected(std::move(text.error()));
  auto values = render::OutputValues::read(*text, flags.outputs);
  if (!values) return std::unexpected(std::move(values.error()));
  return std::optional(std::move(*values));
}

Result<int> render_word(Terminal& terminal, const RenderFlags& flags) {
  if (flags.out.empty() == flags.diff.empty()) {
    return fail("missing_argument", "one of -o DIR and --diff DIR is needed",
                "tidegate render -f FILE -o DIR writes the tree, --diff OLD_DIR shows what would change");
  }
  if (auto place = refuse_format(flags.out); !place) return std::unexpected(place.error());
  if (flags.files.empty())
    return fail("missing_argument", "-f is missing: which documents?", "tidegate render -f FILE -o DIR");
  const auto outputs = read_outputs(flags);
  if (!outputs) return std::unexpected(outputs.error());
  auto decoded = read_platform(flags.files);
  if (!decoded) return std::unexpected(decoded.error());
  std::vector<spec::Finding> findings = decoded->findings;
  render::Rendered rendered;
  if (decoded->ok()) {
    auto result = render::render(decoded->documents, flags.platform, nullptr, flags.environment,
                                 *outputs ? &**outputs : nullptr);
    if (!result) return std::unexpected(result.error());
    rendered = std::move(*result);
    for (spec::Finding& f : rendered.findings) {
      // Said of the whole tree: who asks for a part may well write the rest later.
      if (f.code == "nothing_renders" && !flags.only.empty()) continue;
      findings.push_back(std::move(f));
    }
  }
  sort_findings(findings);
  print_findings(terminal, findings, Stream::err);
  if (const auto errors = std::count_if(findings.begin(), findings.end(), is_error); errors > 0) {
    terminal.note(fmt::format("{} error{}, nothing is written", errors, errors == 1 ? "" : "s"));
    return kFailed;
  }
  if (!rendered.open.empty())
    terminal.note(fmt::format("{} place{} wait{} for outputs of the infrastructure: --outputs puts them in",
                              rendered.open.size(), rendered.open.size() == 1 ? "" : "s",
                              rendered.open.size() == 1 ? "s" : ""));
  if (flags.only.empty()) return deliver(terminal, flags, rendered.tree);
  const render::Tree part = rendered.tree.only(flags.only);
  if (part.files().empty()) {
    return fail("nothing_there", fmt::format("there is nothing at {} in the tree", printable(flags.only)),
                "tidegate render -o DIR without --only shows what there is");
  }
  return deliver(terminal, flags, part);
}

}  // namespace

void add_render(CommandLine& line) {
  auto flags = std::make_shared<RenderFlags>();
  Word& word = line.root().sub("render", "write all files of a Platform");
  word.example("tidegate render -f examples/webui-k3s.yaml -o out")
      .example("tidegate render -f platform.yaml -f staging.yaml --diff out");
  word.example("tidegate render -f platform.yaml -o out --outputs outputs.json");
  word.list("-f,--file", "PATH", flags->files,
            "documents: file, directory or - (stdin); later files are merged over");
  word.option("-o,--out", "DIR", flags->out, "where to write");
  word.option("--only", "PATH", flags->only, "only this part of the tree, for example components/metrics");
  word.option("--diff", "DIR", flags->diff, "write nothing, show what differs from this rendered tree");
  word.option("--platform", "NAME", flags->platform, "which Platform, when there are several");
  word.option("--environment", "NAME", flags->environment,
              "the tree of one of its delivery.environments, for example staging");
  word.option("--outputs", "FILE", flags->outputs,
              "what tofu output -json printed, or - (stdin): its values are put where files wait for them");
  word.action_result([flags](Terminal& terminal) { return render_word(terminal, *flags); });
}

}  // namespace tg::app
