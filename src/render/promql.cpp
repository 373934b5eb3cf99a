#include "render/promql.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace tg::render {

namespace {

constexpr auto kOperators = std::to_array<std::string_view>(
    {"and", "or", "unless", "bool", "offset", "atan2", "inf", "nan", "start", "end"});
// A list of labels in parentheses follows them.
constexpr auto kGroupings =
    std::to_array<std::string_view>({"by", "without", "on", "ignoring", "group_left", "group_right"});

template <class List>
bool among(const List& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

bool letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' || c == ':'; }
bool name_part(char c) { return letter(c) || std::isdigit(static_cast<unsigned char>(c)) != 0; }

// Behind the text that begins at `at` with a quote.
std::size_t skip_text(std::string_view s, std::size_t at) {
  const char quote = s[at++];
  while (at < s.size() && s[at] != quote) at += s[at] == '\\' && quote != '`' ? 2 : 1;
  return std::min(at + 1, s.size());
}

bool quote(char c) { return c == '"' || c == '\'' || c == '`'; }

// Behind the bracket that closes the one at `at`.
std::size_t skip_brackets(std::string_view s, std::size_t at, char close) {
  ++at;
  while (at < s.size() && s[at] != close) at = quote(s[at]) ? skip_text(s, at) : at + 1;
  return std::min(at + 1, s.size());
}

std::size_t skip_blanks(std::string_view s, std::size_t at) {
  while (at < s.size() && std::isspace(static_cast<unsigned char>(s[at])) != 0) ++at;
  return at;
}

void put(std::vector<std::string>& out, std::string_view name) {
  if (!among(out, name)) out.emplace_back(name);
}

}  // namespace

std::vector<std::string> metrics_in(std::string_view s) {
  std::vector<std::string> out;
  std::size_t at = 0;
  while (at < s.size()) {
    const char c = s[at];
    if (quote(c)) {
      at = skip_text(s, at);
    } else if (c == '{') {
      at = skip_brackets(s, at, '}');
    } else if (c == '[') {
      at = skip_brackets(s, at, ']');
    } else if (c == '$' || std::isdigit(static_cast<unsigned char>(c)) != 0) {
      ++at;  // a variable, or a number with its unit
      while (at < s.size() && (name_part(s[at]) || s[at] == '.')) ++at;
    } else if (letter(c)) {
      const std::size_t begin = at;
      while (at < s.size() && name_part(s[at])) ++at;
      const std::string_view word = s.substr(begin, at - begin);
      const std::size_t next = skip_blanks(s, at);
      const bool opens = next < s.size() && s[next] == '(';
      if (among(kGroupings, word)) {
        if (opens) at = skip_brackets(s, next, ')');
      } else if (!opens && !among(kOperators, word)) {
        // An aggregation may have its grouping in front of its argument: `sum by (le) (…)`.
        const std::string_view rest = s.substr(next);
        const bool aggregation = rest.starts_with("by") || rest.starts_with("without");
        if (!aggregation) put(out, word);
      }
    } else {
      ++at;
    }
  }
  return out;
}

std::vector<std::string> stream_labels_in(std::string_view s) {
  std::vector<std::string> out;
  std::size_t at = 0;
  while (at < s.size()) {
    if (quote(s[at])) {
      at = skip_text(s, at);
      continue;
    }
    if (s[at++] != '{') continue;
    while (at < s.size() && s[at] != '}') {
      if (quote(s[at])) {
        at = skip_text(s, at);
      } else if (letter(s[at])) {
        const std::size_t begin = at;
        while (at < s.size() && name_part(s[at])) ++at;
        put(out, s.substr(begin, at - begin));
      } else {
        ++at;
      }
    }
  }
  return out;
}

}  // namespace tg::render
