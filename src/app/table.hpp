// Text tables: columns padded to the widest cell, two spaces between, nothing at line ends. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/terminal.hpp"

namespace tg::app {

struct Cell {
  std::string text;
  Style style = Style::plain;
};

class Table {
 public:
  struct Column {
    std::string title;
    bool right = false;  // numbers
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // As many cells as columns; an empty one is shown as "-".
  void row(std::vector<Cell> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }
  // Control characters of cells are replaced; colour as the terminal has it.
  std::string text(const Terminal& terminal) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// Columns a text takes: code points, which is right for all but wide scripts.
std::size_t display_width(std::string_view text);

// "38 s ago", "in 5 s", "2 h ago"; empty if `rfc3339` is no time.
std::string relative_time(std::string_view rfc3339, std::int64_t now_utc_ns);

}  // namespace tg::app
