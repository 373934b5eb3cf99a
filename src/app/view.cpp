#include "app/view.hpp"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/clock.hpp"
#include "text/emit.hpp"

namespace tg::app {

namespace {

using Json = nlohmann::ordered_json;

void pause(Nanos t) {
  timespec left{t / kSecond, t % kSecond};
  while (::nanosleep(&left, &left) != 0) {
  }
}

Result<> print(Terminal& terminal, Format format, const View& view, const std::string& text) {
  if (format == Format::json || format == Format::yaml) return print_object(terminal, format, text);
  const auto j = parse_object(text);
  if (!j) return std::unexpected(j.error());
  if (format == Format::name) {
    for (const std::string& name : view.names(*j)) terminal.out(printable(name) + "\n");
  } else {
    view.show(terminal, *j, format == Format::wide);
  }
  return {};
}

bool is_lost(const Error& e) {
  return e.code == "not_running" || e.code == "control_failed" || e.code == "control_timeout";
}

}  // namespace

Result<Json> parse_object(const std::string& json) {
  Json j = Json::parse(json, nullptr, false);
  if (j.is_discarded())
    return fail("control_failed", "the running tidegate sent no JSON", "tidegate diagnose");
  return j;
}

Result<> print_object(Terminal& terminal, Format format, const std::string& json) {
  if (format == Format::yaml) {
    const auto j = parse_object(json);
    if (!j) return std::unexpected(j.error());
    terminal.out(text::emit_yaml(*j));
    return {};
  }
  terminal.out(json);
  if (!json.ends_with('\n')) terminal.out("\n");
  return {};
}

Result<> show(Terminal& terminal, Format format, const View& view) {
  const auto text = view.get();
  if (!text) return std::unexpected(text.error());
  return print(terminal, format, view, *text);
}

Result<> watch(Terminal& terminal, Format format, const View& view) {
  const bool redraw = terminal.out_is_terminal() && format != Format::json;
  if (redraw) terminal.mute_next();
  bool lost = false, first = true;
  std::string last;
  for (;;) {
    const auto text = view.get();
    if (!text) {
      if (first || !is_lost(text.error())) return std::unexpected(text.error());
      if (!lost) terminal.note("the running tidegate is gone; waiting for it to come back");
      lost = true;
    } else {
      if (lost) terminal.note("it is back");
      lost = false;
      if (redraw) {
        // Over the old frame, line by line: no flicker, and nothing to put right when a signal ends it.
        if (auto r = print(terminal, format, view, *text); !r) return r;
        std::string frame = terminal.take(), screen = "\x1b[H";
        int lines = 0;
        for (std::size_t at = 0; at < frame.size() && lines + 1 < terminal.height(); ++lines) {
          const std::size_t end = std::min(frame.find('\n', at), frame.size());
          screen += frame.substr(at, end - at) + "\x1b[K\n";
          at = end + 1;
        }
        terminal.out((first ? "\x1b[2J" : "") + screen + "\x1b[J");
      } else if (*text != last) {
        last = *text;
        std::string line = *text;
        std::replace(line.begin(), line.end(), '\n', ' ');  // between tokens only: JSON has none inside texts
        terminal.out(line + "\n");
      }
      if (!terminal.flush()) return {};
      first = false;
    }
    pause(kSecond);
  }
}

std::string text_at(const Json& j, const char* pointer) {
  const Json::json_pointer p(pointer);
  if (!j.contains(p)) return {};
  const Json& v = j.at(p);
  return v.is_string() ? printable(v.get<std::string>()) : v.is_null() ? std::string() : v.dump();
}

std::int64_t number_at(const Json& j, const char* pointer) {
  const Json::json_pointer p(pointer);
  if (!j.contains(p) || !j.at(p).is_number()) return 0;
  return j.at(p).get<std::int64_t>();
}

Style state_style(std::string_view state) {
  if (state == "ready" || state == "serving" || state == "active") return Style::good;
  if (state == "failed" || state == "blocked") return Style::bad;
  if (state == "zero" || state == "revoked") return Style::dim;
  return Style::warn;
}

}  // namespace tg::app
