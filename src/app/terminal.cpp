#include "app/terminal.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "admin/api.hpp"

namespace tg::app {

namespace {

bool is_set(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

// 0 or errno.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return 0;
}

}  // namespace

Result<Format> parse_format(std::string_view text, bool with_csv) {
  if (text == "table") return Format::table;
  if (text == "wide") return Format::wide;
  if (text == "json") return Format::json;
  if (text == "yaml") return Format::yaml;
  if (text == "name") return Format::name;
  if (text == "csv" && with_csv) return Format::csv;
  return fail(
      "bad_flag", fmt::format("--output '{}': no such format", printable(text)),
      with_csv ? "write table, wide, json, yaml, name or csv" : "write table, wide, json, yaml or name");
}

Terminal::Terminal(bool no_color_flag) : out_terminal_(::isatty(1) == 1), err_terminal_(::isatty(2) == 1) {
  ColorChoice choice;
  choice.no_color_flag = no_color_flag;
  choice.no_color = is_set("NO_COLOR");
  const char* term = std::getenv("TERM");
  choice.dumb = term != nullptr && std::strcmp(term, "dumb") == 0;
  const char* force = std::getenv("CLICOLOR_FORCE");
  choice.force = force != nullptr && *force != '\0' && std::strcmp(force, "0") != 0;
  choice.terminal = out_terminal_;
  out_color_ = choice.color();
  choice.terminal = err_terminal_;
  err_color_ = choice.color();
}

Terminal::~Terminal() { flush(); }

void Terminal::err(std::string_view text) { (void)write_all(2, text); }

bool Terminal::flush() {
  const std::string text = std::move(out_);
  out_.clear();
  const int err = write_all(1, text);
  if (err == 0) return true;
  if (err != EPIPE) error(fail_errno("cannot_write", "standard output", err).error(), Format::table);
  return false;
}

int Terminal::height() const {
  winsize size{};
  if (::ioctl(1, TIOCGWINSZ, &size) == 0 && size.ws_row > 0) return size.ws_row;
  return 24;
}

std::string Terminal::paint(Style style, std::string_view text, bool color) {
  if (!color || style == Style::plain || text.empty()) return std::string(text);
  const char* code = "0";
  switch (style) {
    case Style::plain:
      break;
    case Style::strong:
      code = "1";
      break;
    case Style::dim:
      code = "2";
      break;
    case Style::good:
      code = "32";
      break;
    case Style::warn:
      code = "33";
      break;
    case Style::bad:
      code = "31";
      break;
  }
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

void Terminal::error(const Error& error, Format format) {
  // At most 5 lines: a message of more is cut, the hint is always last.
  std::string message = printable(error.message);
  std::size_t at = 0;
  for (int lines = 1; (at = message.find('\n', at)) != std::string::npos; ++lines, ++at) {
    if (lines == 4) {
      message.resize(at);
      break;
    }
  }
  std::string text = fmt::format("{} {} {}\n", err_paint(Style::bad, "error:"), message,
                                 err_paint(Style::dim, fmt::format("[{}]", error.code)));
  if (!error.hint.empty()) {
    std::string hint = printable(error.hint);
    for (char& c : hint) c = c == '\n' ? ' ' : c;
    text += fmt::format("{} {}\n", err_paint(Style::strong, "hint:"), hint);
  }
  err(text);
  if (format == Format::json) out(admin::error_json(error) + "\n");
}

void Terminal::note(std::string_view text) {
  err(fmt::format("{} {}\n", err_paint(Style::dim, "note:"), printable(text)));
}

void Terminal::next(std::string_view command) {
  if (!next_muted_) err(fmt::format("{} {}\n", err_paint(Style::dim, "next:"), printable(command)));
}

std::string printable(std::string_view text) {
  std::string clean(text);
  for (char& c : clean) {
    const auto u = static_cast<unsigned char>(c);
    if ((u < 0x20 && c != '\n' && c != '\t') || u == 0x7F) c = '?';
  }
  return clean;
}

}  // namespace tg::app
