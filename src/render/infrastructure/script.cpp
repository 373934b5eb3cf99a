#include "render/infrastructure/script.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace tg::render {

std::string shell_word(std::string_view value) {
  const bool plain = !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-./:,@%+").find(c) != std::string_view::npos;
  });
  if (plain) return std::string(value);
  std::string out = "'";
  for (const char c : value) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string shell_list(const std::vector<std::string>& values) {
  std::string out = "(";
  for (const std::string& v : values) out += (out.size() > 1 ? " " : "") + shell_word(v);
  return out + ")";
}

std::string shell_map(const std::vector<std::pair<std::string, std::string>>& values) {
  std::string out = "(";
  for (const auto& [key, value] : values)
    out += fmt::format("{}[{}]={}", out.size() > 1 ? " " : "", shell_word(key), shell_word(value));
  return out + ")";
}

Extra script(std::string path, std::string_view purpose, std::string_view body) {
  std::string out =
      "#!/usr/bin/env bash\n# Written by tidegate render. Change the document, not this file.\n";
  std::size_t begin = 0;
  while (begin < purpose.size()) {
    const std::size_t end = std::min(purpose.find('\n', begin), purpose.size());
    out += fmt::format("# {}\n", purpose.substr(begin, end - begin));
    begin = end + 1;
  }
  out +=
      "# What is not set here comes from inventory.sh.\n"
      "# shellcheck disable=SC2154\n"
      "set -euo pipefail\n"
      "here=$(cd \"$(dirname \"${BASH_SOURCE[0]}\")\" && pwd)\n"
      "# shellcheck source=/dev/null\n"
      ". \"$here/inventory.sh\"\n"
      "# shellcheck source=/dev/null\n"
      ". \"$here/lib.sh\"\n\n";
  out += body;
  return {.path = std::move(path), .content = std::move(out), .executable = true};
}

}  // namespace tg::render
