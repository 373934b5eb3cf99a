// "Did you mean": the names nearest to a mistyped one. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tg::text {

// Edits (insert, delete, replace, swap of neighbours) between two words, letters of either case alike; `-`
// and `_` alike.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The candidates within a third of the word's length (at most 3 edits) or that begin with the word, nearest
// first, at most `most`. They refer to the candidates' text.
std::vector<std::string_view> nearest(std::string_view word, std::span<const std::string_view> candidates,
                                      std::size_t most = 3);
std::vector<std::string_view> nearest(std::string_view word, std::span<const std::string> candidates,
                                      std::size_t most = 3);

// "did you mean 'replicas'?", "did you mean 'min' or 'max'?", or empty when nothing is near.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates);
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

// "a, b and c"
std::string join_words(std::span<const std::string_view> words, std::string_view last_joint = "and");

}  // namespace tg::text
