#include "app/redact.hpp"

#include <array>
#include <cctype>

namespace tg::app {

namespace {

constexpr std::string_view kGone = "[redacted]";

bool word_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// Length of `word` at `at` in any case, 0 if it is not there.
bool has_at(std::string_view text, std::size_t at, std::string_view word) {
  if (text.size() - at < word.size()) return false;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (lower(text[at + i]) != word[i]) return false;
  }
  return true;
}

std::size_t run_end(std::string_view text, std::size_t at) {
  while (at < text.size() && word_char(text[at])) ++at;
  return at;
}

}  // namespace

std::string redacted(std::string_view text) {
  static constexpr std::array<std::string_view, 4> kPrefixes = {"tg-", "sk-", "hf_", "ghp_"};
  static constexpr std::array<std::string_view, 7> kNames = {"authorization", "api_key", "api-key", "apikey",
                                                             "password",      "secret",  "token"};
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const bool starts_word = i == 0 || !word_char(text[i - 1]);
    bool handled = false;
    if (starts_word) {
      for (const std::string_view p : kPrefixes) {
        const std::size_t end = run_end(text, i);
        if (!text.substr(i).starts_with(p) || end - i < 12) continue;
        out += p;
        out += kGone;
        i = end;
        handled = true;
        break;
      }
    }
    if (handled) continue;
    if (starts_word && has_at(text, i, "bearer ")) {
      out += text.substr(i, 7);
      out += kGone;
      i = run_end(text, i + 7);
      continue;
    }
    // NAME=value, NAME: value, "NAME":"value": the value goes up to the next blank, quote or comma.
    for (const std::string_view name : kNames) {
      if (!has_at(text, i, name)) continue;
      std::size_t at = i + name.size();
      while (at < text.size() && (text[at] == '"' || text[at] == ' ')) ++at;
      if (at >= text.size() || (text[at] != '=' && text[at] != ':')) continue;
      ++at;
      while (at < text.size() && text[at] == ' ') ++at;
      // A quoted value goes to its quote; the value of Authorization may have blanks.
      std::string_view ends = name == "authorization" ? "\"'\n,}" : " \"'\n,}";
      if (at < text.size() && (text[at] == '"' || text[at] == '\'')) {
        ends = text[at] == '"' ? "\"\n" : "'\n";
        ++at;
      }
      std::size_t end = at;
      while (end < text.size() && ends.find(text[end]) == std::string_view::npos) ++end;
      if (end == at) continue;
      out += text.substr(i, at - i);
      out += kGone;
      i = end;
      handled = true;
      break;
    }
    if (handled) continue;
    // user:password@ of a URL
    if (text.substr(i).starts_with("://")) {
      out += "://";
      i += 3;
      std::size_t end = i;
      while (end < text.size() && std::string_view("/ \"'\n@").find(text[end]) == std::string_view::npos)
        ++end;
      if (end < text.size() && text[end] == '@') {
        out += kGone;
        i = end;
      }
      continue;
    }
    out += text[i++];
  }
  return out;
}

}  // namespace tg::app
