#include "app/platform_documents.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "app/stdin_text.hpp"
#include "base/clock.hpp"
#include "render/render.hpp"
#include "spec/load.hpp"
#include "verify/verify.hpp"

namespace tg::app {

bool is_error(const spec::Finding& finding) { return finding.severity == spec::Severity::error; }

void sort_findings(std::vector<spec::Finding>& findings) {
  std::stable_sort(findings.begin(), findings.end(), [](const spec::Finding& a, const spec::Finding& b) {
    return std::tie(a.at.file, a.at.line, a.at.column) < std::tie(b.at.file, b.at.line, b.at.column);
  });
}

void print_findings(Terminal& terminal, const std::vector<spec::Finding>& findings, Stream stream) {
  for (const spec::Finding& f : findings) {
    const Style style = is_error(f) ? Style::bad : Style::warn;
    const std::string_view word = is_error(f) ? "error" : "warning";
    const std::string text =
        printable(fmt::format("{}: ", f.at.str())) +
        (stream == Stream::out ? terminal.out_paint(style, word) : terminal.err_paint(style, word)) +
        printable(fmt::format("[{}] {}\n", f.code, f.message)) +
        (f.hint.empty() ? std::string() : printable(fmt::format("  hint: {}\n", f.hint)));
    if (stream == Stream::out)
      terminal.out(text);
    else
      terminal.err(text);
  }
}

std::optional<std::string> first_error(const std::vector<spec::Finding>& findings) {
  const auto it = std::find_if(findings.begin(), findings.end(), is_error);
  if (it == findings.end()) return std::nullopt;
  return fmt::format("{}: error[{}] {}", it->at.str(), it->code, it->message);
}

void judge(spec::DecodeResult& result) {
  if (!result.ok()) return;
  for (spec::Finding& f : verify::check(result.documents, format_utc(utc_now_ns()).substr(0, 10)))
    result.findings.push_back(std::move(f));
  sort_findings(result.findings);
}

void judge_rendering(spec::DecodeResult& result) {
  if (!result.ok()) return;
  for (const std::string& name : std::vector<std::string>(result.documents.platforms)) {
    auto rendered = render::render(result.documents, name);
    if (!rendered) continue;
    for (spec::Finding& f : rendered->findings) result.findings.push_back(std::move(f));
  }
  sort_findings(result.findings);
}

Result<> refuse_format(const std::string& place) {
  if (!parse_format(place, true)) return {};
  return fail("bad_flag", fmt::format("-o {}: here -o says where to write, and this is a format", place),
              fmt::format("-o ./{} if that name is meant", place));
}

Result<spec::DecodeResult> read_platform(const std::vector<std::string>& files) {
  std::string input;
  if (std::find(files.begin(), files.end(), "-") != files.end()) {
    auto text = read_stdin("documents");
    if (!text) return std::unexpected(text.error());
    input = std::move(*text);
  }
  spec::DecodeResult result = spec::load(files, input, spec::Purpose::platform);
  judge(result);
  return result;
}

}  // namespace tg::app
