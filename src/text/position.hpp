// Where something stands in a document: what an error message points at.
#pragma once

#include <string>

#include <fmt/format.h>

namespace tg::text {

struct Position {
  std::string file;  // as the user named it; "-" for standard input
  int line = 0;      // from 1; 0 = no place in a file
  int column = 0;    // from 1, in code points

  std::string str() const { return line == 0 ? file : fmt::format("{}:{}:{}", file, line, column); }
};

}  // namespace tg::text
