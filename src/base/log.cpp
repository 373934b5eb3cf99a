#include "base/log.hpp"

#include <unistd.h>

#include "base/clock.hpp"

namespace tg {

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

namespace {
std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warn:
      return "warn";
    default:
      return "error";
  }
}

bool needs_quotes(std::string_view value) {
  return value.empty() || value.find_first_of(" \"=\n\t\r") != std::string_view::npos;
}
}  // namespace

void Logger::write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (level < level_) return;
  std::string line;
  if (format_ == LogFormat::json) {
    line = "{\"time\":\"" + format_utc(utc_now_ns()) + "\",\"level\":\"";
    line += name_of(level);
    line += "\",\"message\":";
    append_json_string(line, message);
    for (const LogField& f : fields) {
      if (f.quoted && f.value.empty()) continue;
      line += ",";
      append_json_string(line, f.key);
      line += ":";
      if (f.quoted) {
        append_json_string(line, f.value);
      } else {
        line += f.value;
      }
    }
    line += "}\n";
  } else {
    line = format_utc(utc_now_ns());
    line += " ";
    line += name_of(level);
    line += " ";
    line += message;
    for (const LogField& f : fields) {
      if (f.quoted && f.value.empty()) continue;
      line += " ";
      line += f.key;
      line += "=";
      if (f.quoted && needs_quotes(f.value)) {
        append_json_string(line, f.value);
      } else {
        line += f.value;
      }
    }
    line += "\n";
  }
  // A line that cannot be written is lost: there is nowhere left to say so.
  [[maybe_unused]] const ssize_t n = ::write(fd_, line.data(), line.size());
}

}  // namespace tg
