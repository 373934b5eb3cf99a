// The text of --help: examples first, 80 columns, at most 24 lines for a word, the reference page last. Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace tg::app {

struct HelpPage {
  using Row = std::pair<std::string, std::string>;  // what is typed, what it means
  std::string path;                                 // "keys create", "" for the program
  std::string summary;
  std::vector<std::string> examples;
  std::vector<Row> words, arguments, flags;
};

std::string format_help(const HelpPage& page);

// "docs/reference/command-line.md#tidegate-keys-create"
std::string docs_page(const std::string& path);

}  // namespace tg::app
