#include "text/emit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace tg::text {

namespace {

using Json = nlohmann::ordered_json;

// Words that YAML 1.1 readers take for booleans or null, in lower case.
constexpr std::array<std::string_view, 9> kWords{"true", "false", "yes", "no", "on", "off", "y", "n", "null"};

bool is_word(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return std::find(kWords.begin(), kWords.end(), lower) != kWords.end();
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Plain only when it cannot be anything else: begins with a letter or '/', holds no indicator, space at an
// end or line end. What begins with a digit, sign or point may be a number, a base-60 number or a date for
// some reader, so it is quoted.
bool safe_plain(std::string_view text) {
  if (text.empty() || text.size() > 120 || !(is_letter(text.front()) || text.front() == '/') || is_word(text))
    return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_letter(c) || is_digit(c) || std::string_view("-_./+@%").find(c) != std::string_view::npos)
      continue;
    if (c == ':' && i + 1 < text.size() && text[i + 1] != ' ') continue;
    if (c == ' ' && i + 1 < text.size() && text[i + 1] != '#' && text[i + 1] != ' ') continue;
    return false;
  }
  return true;
}

// Length of the well-formed UTF-8 character at `at`, 0 if it is none (or one that YAML does not print).
std::size_t character(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned b = byte(0);
  if (b < 0x80) return 1;
  if (b >= 0xC2 && b < 0xE0 && follows(1)) return 2;
  if (b >= 0xE0 && b < 0xF0 && follows(1) && follows(2)) {
    const unsigned code = (b & 0x0FU) << 12 | (byte(1) & 0x3FU) << 6 | (byte(2) & 0x3FU);
    return code < 0x800 || (code >= 0xD800 && code < 0xE000) ? 0 : 3;
  }
  if (b >= 0xF0 && b < 0xF5 && follows(1) && follows(2) && follows(3)) {
    const unsigned code =
        (b & 7U) << 18 | (byte(1) & 0x3FU) << 12 | (byte(2) & 0x3FU) << 6 | (byte(3) & 0x3FU);
    return code < 0x10000 || code > 0x10FFFF ? 0 : 4;
  }
  return 0;
}

// Characters above ASCII that must be escaped: C1 controls, the line and paragraph separators, the byte order
// mark.
bool escaped_wide(std::string_view c) {
  return (c.size() == 2 && c[0] == '\xC2' && static_cast<unsigned char>(c[1]) < 0xA1) ||
         c == "\xE2\x80\xA8" || c == "\xE2\x80\xA9" || c == "\xEF\xBB\xBF" || c == "\xEF\xBF\xBE" ||
         c == "\xEF\xBF\xBF";
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t n = character(text, i);
    if (n == 0) {
      out += "\xEF\xBF\xBD";
      ++i;
      continue;
    }
    const std::string_view c = text.substr(i, n);
    if (c == "\"" || c == "\\") {
      out.append("\\").append(c);
    } else if (c == "\n") {
      out += "\\n";
    } else if (c == "\t") {
      out += "\\t";
    } else if (n == 1 && (static_cast<unsigned char>(c[0]) < 0x20 || c[0] == 0x7F)) {
      out += fmt::format("\\x{:02X}", static_cast<unsigned>(c[0]));
    } else if (escaped_wide(c)) {
      const unsigned code = n == 2 ? static_cast<unsigned char>(c[1])
                                   : ((static_cast<unsigned char>(c[0]) & 0x0FU) << 12 |
                                      (static_cast<unsigned char>(c[1]) & 0x3FU) << 6 |
                                      (static_cast<unsigned char>(c[2]) & 0x3FU));
      out += fmt::format("\\u{:04X}", code);
    } else {
      out += c;
    }
    i += n;
  }
  out += '"';
  return out;
}

// Text of several lines that a literal block holds as it is: no controls, nothing that must be escaped, and
// no space at the front that would be taken for indentation.
bool fits_block(std::string_view text) {
  const std::size_t line = text.find('\n');
  if (line == std::string_view::npos || line + 1 == text.size()) return false;
  if (text.front() == ' ' || text.front() == '\n') return false;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t n = character(text, i);
    if (n == 0) return false;
    const std::string_view c = text.substr(i, n);
    if (n == 1 && c[0] != '\n' && (static_cast<unsigned char>(c[0]) < 0x20 || c[0] == 0x7F)) return false;
    if (n > 1 && escaped_wide(c)) return false;
    i += n;
  }
  return true;
}

void emit_block(std::string& out, std::string_view text, int indent) {
  const std::string pad(static_cast<std::size_t>(indent), ' ');
  // How the line feeds at the end are kept: one, none, all.
  const bool ends = text.back() == '\n';
  const bool more = ends && text.size() > 1 && text[text.size() - 2] == '\n';
  out += more ? " |+\n" : ends ? " |\n" : " |-\n";
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (end > 0) out.append(pad).append(text.substr(0, end));
    out += '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void emit(std::string& out, const Json& value, int indent, bool after_dash);

std::string scalar(const Json& value) {
  if (value.is_string()) return yaml_scalar(value.get_ref<const std::string&>());
  if (value.is_number_float()) {
    const double d = value.get<double>();
    if (d != d) return ".nan";
    if (d - d != 0) return d > 0 ? ".inf" : "-.inf";
    std::string text = fmt::format("{}", d);
    // YAML 1.1 takes an exponent for a number only with a point before it and a sign in it.
    if (text.find_first_of(".e") == std::string::npos) text += ".0";
    const std::size_t e = text.find('e');
    if (e != std::string::npos && text.find('.') == std::string::npos) text.insert(e, ".0");
    return text;
  }
  return value.dump();
}

// `out` stands at the place where the value begins: after "key:", after "- ", or at the start of the text.
void emit_entries(std::string& out, const Json& value, int indent, bool after_dash) {
  const std::string pad(static_cast<std::size_t>(indent), ' ');
  bool first = after_dash;
  const auto begin_line = [&] {
    if (!first) out += pad;
    first = false;
  };
  if (value.is_object()) {
    for (const auto& [key, child] : value.items()) {
      begin_line();
      out.append(yaml_scalar(key)).append(":");
      emit(out, child, indent, false);
    }
    return;
  }
  for (const auto& child : value) {
    begin_line();
    out += "-";
    emit(out, child, indent, true);
  }
}

void emit(std::string& out, const Json& value, int indent, bool after_dash) {
  if (value.is_string() && fits_block(value.get_ref<const std::string&>()))
    return emit_block(out, value.get_ref<const std::string&>(), indent + 2);
  if (!value.is_structured()) {
    out.append(" ").append(scalar(value)).append("\n");
    return;
  }
  if (value.empty()) {
    out += value.is_object() ? " {}\n" : " []\n";
    return;
  }
  out += after_dash ? " " : "\n";
  emit_entries(out, value, indent + 2, after_dash);
}

}  // namespace

std::string yaml_scalar(std::string_view text) { return safe_plain(text) ? std::string(text) : quoted(text); }

std::string emit_yaml(const nlohmann::ordered_json& value) {
  std::string out;
  if (value.is_structured() && !value.empty()) {
    emit_entries(out, value, 0, false);
    return out;
  }
  emit(out, value, 0, false);
  return out.substr(1);  // without the space that stands before a value
}

}  // namespace tg::text
