#include "base/units.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

namespace tg {

namespace {

// Splits a leading decimal number ("12", "1.5") off `text`. False if there is none or it is not finite.
bool take_number(std::string_view& text, double& value) {
  std::size_t length = 0;
  bool point = false;
  while (length < text.size()) {
    const char c = text[length];
    if (c == '.' && !point && length > 0) {
      point = true;
    } else if (c < '0' || c > '9') {
      break;
    }
    ++length;
  }
  if (length == 0 || text[length - 1] == '.') return false;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + length, value);
  if (problem != std::errc{} || end != text.data() + length || !std::isfinite(value)) return false;
  text.remove_prefix(length);
  return true;
}

struct Suffix {
  std::string_view text;
  double factor;
};

constexpr std::array<Suffix, 9> kByteSuffixes{{{"", 1},
                                               {"k", 1e3},
                                               {"M", 1e6},
                                               {"G", 1e9},
                                               {"T", 1e12},
                                               {"Ki", 1024.0},
                                               {"Mi", 1048576.0},
                                               {"Gi", 1073741824.0},
                                               {"Ti", 1099511627776.0}}};

bool scale(std::string_view suffix, std::size_t known, double& value) {
  for (std::size_t i = 0; i < known; ++i) {
    if (kByteSuffixes[i].text == suffix) {
      value *= kByteSuffixes[i].factor;
      return true;
    }
  }
  return false;
}

}  // namespace

Result<std::uint64_t> parse_bytes(std::string_view text) {
  std::string_view rest = text;
  double value = 0;
  if (!take_number(rest, value) || !scale(rest, kByteSuffixes.size(), value) || value > 9e18) {
    return fail("bad_quantity", fmt::format("'{}' is not a size in bytes", text),
                "write for example 512Mi, 4Gi or 100M");
  }
  return static_cast<std::uint64_t>(std::llround(value));
}

Result<std::int64_t> parse_count(std::string_view text) {
  std::string_view rest = text;
  double value = 0;
  if (!take_number(rest, value) || !scale(rest, 4, value) || value > 9e15 || value != std::floor(value)) {
    return fail("bad_count", fmt::format("'{}' is not a count", text), "write for example 600, 200k or 1M");
  }
  return static_cast<std::int64_t>(value);
}

Result<Nanos> parse_duration(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, Nanos>, 5> units{
      {{"d", 24 * kHour}, {"h", kHour}, {"m", kMinute}, {"s", kSecond}, {"ms", kMillisecond}}};
  const auto bad = [&] {
    return fail("bad_duration", fmt::format("'{}' is not a duration", text),
                "write for example 500ms, 30s, 2m or 1h30m");
  };
  if (text == "0") return Nanos{0};
  std::string_view rest = text;
  double total = 0;
  std::size_t next_unit = 0;
  while (!rest.empty()) {
    double value = 0;
    if (!take_number(rest, value)) return bad();
    const std::string_view unit = rest.substr(0, rest.find_first_of("0123456789"));
    std::size_t i = next_unit;
    while (i < units.size() && units[i].first != unit) ++i;
    if (i == units.size()) return bad();
    total += value * static_cast<double>(units[i].second);
    next_unit = i + 1;
    rest.remove_prefix(unit.size());
  }
  if (text.empty() || total > static_cast<double>(std::numeric_limits<Nanos>::max()) / 2) return bad();
  return static_cast<Nanos>(std::llround(total));
}

Result<double> parse_percent(std::string_view text) {
  std::string_view rest = text;
  double value = 0;
  if (!take_number(rest, value) || rest != "%") {
    return fail("bad_percent", fmt::format("'{}' is not a percentage", text), "write for example 20%");
  }
  return value / 100;
}

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> names{"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t i = 0;
  while (value >= 1024 && i + 1 < names.size()) {
    value /= 1024;
    ++i;
  }
  return i == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, names[i]);
}

std::string format_duration(Nanos duration) {
  if (duration < 0) return "-" + format_duration(-duration);
  std::int64_t ms = (duration + kMillisecond / 2) / kMillisecond;
  if (ms == 0) return "0s";
  std::string out;
  for (const auto& [name, size] :
       {std::pair{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}) {
    if (ms / size > 0) out += fmt::format("{}{}", ms / size, name);
    ms %= size;
  }
  return out;
}

void put_reset(Pen& pen, Nanos duration) {
  if (duration <= 0) {
    pen.put("0s");
    return;
  }
  if (duration < kSecond) {
    pen.put_number((duration + kMillisecond - 1) / kMillisecond);
    pen.put("ms");
    return;
  }
  const std::int64_t seconds = (duration + kSecond - 1) / kSecond;
  const std::int64_t minutes = seconds / 60;
  if (minutes >= 60) {
    pen.put_number(minutes / 60);
    pen.put("h");
  }
  if (minutes > 0) {
    pen.put_number(minutes % 60);
    pen.put("m");
  }
  pen.put_number(seconds % 60);
  pen.put("s");
}

std::string format_reset(Nanos duration) {
  char text[kMaxReset];
  Pen pen(text);
  put_reset(pen, duration);
  return std::string(pen.text());
}

}  // namespace tg
