#include "app/help.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace tg::app {

namespace {

constexpr std::size_t kColumns = 80;

// Two columns; the second is wrapped at spaces.
void rows(std::string& out, const std::vector<HelpPage::Row>& table, std::size_t width) {
  for (const auto& [left, right] : table) {
    std::string line = fmt::format("  {:<{}}  ", left, width);
    const std::size_t indent = line.size();
    std::string_view rest = right;
    const std::size_t room = kColumns - std::min(indent, kColumns / 2);
    for (;;) {
      std::string_view part = rest.substr(0, room);
      if (rest.size() > room) {
        const std::size_t space = part.rfind(' ');
        if (space != std::string_view::npos) part = part.substr(0, space);
      }
      line += part;
      rest.remove_prefix(part.size());
      while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
      out += line + "\n";
      if (rest.empty()) break;
      line.assign(indent, ' ');
    }
  }
}

}  // namespace

std::string docs_page(const std::string& path) {
  std::string anchor = "tidegate";
  if (!path.empty()) anchor += " " + path;
  std::replace(anchor.begin(), anchor.end(), ' ', '-');
  return "docs/reference/command-line.md#" + anchor;
}

std::string format_help(const HelpPage& page) {
  const std::string program = page.path.empty() ? "tidegate" : "tidegate " + page.path;
  std::string out = fmt::format("{}: {}\n\n", program, page.summary);
  for (const std::string& e : page.examples) out += "  " + e + "\n";
  if (!page.examples.empty()) out += "\n";

  std::string usage = "usage: " + program;
  if (!page.words.empty()) usage += " WORD";
  if (!page.flags.empty() || !page.words.empty()) usage += " [flags]";
  for (const auto& a : page.arguments) usage += " " + a.first;
  out += usage + "\n";

  std::size_t width = 0;
  for (const auto* table : {&page.words, &page.arguments, &page.flags}) {
    for (const auto& row : *table) width = std::max(width, row.first.size());
  }
  rows(out, page.words, width);
  rows(out, page.arguments, width);
  rows(out, page.flags, width);
  rows(out, {{"-h, --help; --no-color", ""}}, 0);
  while (out.size() > 1 && out[out.size() - 2] == ' ') out.erase(out.size() - 2, 1);
  out += "\n" + fmt::format("Docs: {}\n", docs_page(page.path));
  return out;
}

}  // namespace tg::app
