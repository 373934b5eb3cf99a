// Log lines on stderr: text for a person, JSON lines for a program. Rules: a constant message, facts as
// key=value pairs, never a key, a body or a prompt. A Logger is thread safe: one line is one write(2).
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace tg {

enum class LogLevel { debug, info, warn, error };
enum class LogFormat { text, json };

struct LogField {
  std::string_view key;
  std::string value;
  bool quoted = true;  // false: a number, written bare in JSON
};

template <class T>
LogField field(std::string_view key, const T& value) {
  if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
    return {key, fmt::to_string(value), false};
  } else {
    return {key, fmt::format("{}", value), true};
  }
}

class Logger {
 public:
  explicit Logger(LogFormat format = LogFormat::text, LogLevel level = LogLevel::info, int fd = 2)
      : format_(format), level_(level), fd_(fd) {}

  void debug(std::string_view message, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::debug, message, fields);
  }
  void info(std::string_view message, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::info, message, fields);
  }
  void warn(std::string_view message, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::warn, message, fields);
  }
  void error(std::string_view message, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::error, message, fields);
  }
  // An Error as one line: its code, message and hint become fields.
  void error(std::string_view message, const Error& e) {
    write(LogLevel::error, message,
          {field("code", e.code), field("error", e.message), field("hint", e.hint)});
  }

 private:
  void write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields);
  LogFormat format_;
  LogLevel level_;
  int fd_;
};

// Appends `text` to `out` as a JSON string with quotes; control characters and quotes are escaped, the rest
// is kept.
void append_json_string(std::string& out, std::string_view text);

}  // namespace tg
