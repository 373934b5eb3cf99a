// What a word prints: data on stdout, everything else on stderr, colour where the stream takes it, and errors
// in one form. One object per run, passed to whoever prints; no global state.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/error.hpp"

namespace tg::app {

enum class Format { table, wide, json, yaml, name, csv };
Result<Format> parse_format(std::string_view text, bool with_csv);

enum class Style { plain, strong, dim, good, warn, bad };

// How the environment and the streams decide about colour; a value, so that tests can ask.
struct ColorChoice {
  bool no_color_flag = false;  // --no-color
  bool no_color = false;       // NO_COLOR is set and not empty
  bool dumb = false;           // TERM=dumb
  bool force = false;          // CLICOLOR_FORCE is set and not 0
  bool terminal = false;       // the stream is one
  bool color() const { return !no_color_flag && !no_color && (force || (terminal && !dumb)); }
};

class Terminal {
 public:
  // Looks at both streams and the environment.
  explicit Terminal(bool no_color_flag);
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void out(std::string_view text) { out_ += text; }
  // Written at once.
  void err(std::string_view text);
  // False: stdout does not take the data (full disk, closed pipe). Says so on stderr, but not for a closed
  // pipe.
  bool flush();
  // What is not flushed yet; it is forgotten here.
  std::string take() { return std::exchange(out_, {}); }

  bool out_is_terminal() const { return out_terminal_; }
  bool err_is_terminal() const { return err_terminal_; }
  bool out_color() const { return out_color_; }
  int height() const;  // rows of stdout's terminal, 24 if it does not tell

  // With colour: the text in this style. Without: the text.
  std::string out_paint(Style style, std::string_view text) const { return paint(style, text, out_color_); }
  std::string err_paint(Style style, std::string_view text) const { return paint(style, text, err_color_); }

  // error: MESSAGE [code] / hint: HINT on stderr; with Format::json also the API's error object on stdout.
  void error(const Error& error, Format format);
  // note: TEXT on stderr.
  void note(std::string_view text);
  // next: COMMAND on stderr: what to type now. Not while a view is redrawn.
  void next(std::string_view command);
  void mute_next() { next_muted_ = true; }

 private:
  static std::string paint(Style style, std::string_view text, bool color);
  std::string out_;
  bool out_terminal_, err_terminal_, out_color_, err_color_;
  bool next_muted_ = false;
};

// Control characters but line feed and tab become '?', so that no data can steer a terminal.
std::string printable(std::string_view text);

}  // namespace tg::app
