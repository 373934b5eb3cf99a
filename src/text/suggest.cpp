#include "text/suggest.hpp"

#include <algorithm>
#include <utility>

namespace tg::text {

namespace {

char folded(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
  return c == '_' ? '-' : c;
}

std::vector<std::string_view> views(std::span<const std::string> names) {
  return {names.begin(), names.end()};
}

constexpr std::size_t kLongest = 256;  // words beyond this are not compared: the cost is quadratic

}  // namespace

// Optimal string alignment (Damerau-Levenshtein without edits of a swapped pair), three rows.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), previous(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = folded(a[i - 1]) == folded(b[j - 1]);
      row[j] = std::min({previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) && folded(a[i - 2]) == folded(b[j - 1])) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, previous);
    std::swap(previous, row);
  }
  return previous[b.size()];
}

std::vector<std::string_view> nearest(std::string_view word, std::span<const std::string_view> candidates,
                                      std::size_t most) {
  if (word.empty() || word.size() > kLongest) return {};
  const std::size_t bound = std::min<std::size_t>(word.size() / 3, 3);
  std::vector<std::pair<std::size_t, std::string_view>> near;
  for (const std::string_view c : candidates) {
    if (c.size() > kLongest) continue;
    const std::size_t apart = c.size() > word.size() ? c.size() - word.size() : word.size() - c.size();
    const std::size_t distance =
        apart > bound ? apart : edit_distance(word, c);  // each missing letter is an edit
    const bool begins =
        word.size() >= 3 && c.size() > word.size() && edit_distance(word, c.substr(0, word.size())) == 0;
    if (distance <= bound) {
      near.emplace_back(distance, c);
    } else if (begins) {
      near.emplace_back(bound + 1, c);
    }
  }
  std::sort(near.begin(), near.end());
  near.erase(std::unique(near.begin(), near.end()), near.end());
  std::vector<std::string_view> out;
  for (const auto& [distance, c] : near) {
    if (out.size() == most) break;
    out.push_back(c);
  }
  return out;
}

std::vector<std::string_view> nearest(std::string_view word, std::span<const std::string> candidates,
                                      std::size_t most) {
  return nearest(word, std::span<const std::string_view>(views(candidates)), most);
}

std::string join_words(std::span<const std::string_view> words, std::string_view last_joint) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) {
      if (i + 1 == words.size()) {
        out.append(" ").append(last_joint).append(" ");
      } else {
        out += ", ";
      }
    }
    out += words[i];
  }
  return out;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates) {
  std::vector<std::string> quoted;
  for (const std::string_view c : nearest(word, candidates)) quoted.push_back("'" + std::string(c) + "'");
  if (quoted.empty()) return {};
  return "did you mean " + join_words(views(quoted), "or") + "?";
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  return did_you_mean(word, std::span<const std::string_view>(views(candidates)));
}

}  // namespace tg::text
