#include "app/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "base/clock.hpp"

namespace tg::app {

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string Table::text(const Terminal& terminal) const {
  const auto shown = [](const Cell& c) {
    std::string clean = c.text.empty() ? "-" : printable(c.text);
    std::replace(clean.begin(), clean.end(), '\n', ' ');
    std::replace(clean.begin(), clean.end(), '\t', ' ');
    return clean;
  };
  std::vector<std::size_t> widths;
  widths.reserve(columns_.size());
  for (const Column& c : columns_) widths.push_back(display_width(c.title));
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < columns_.size(); ++i)
      widths[i] = std::max(widths[i], display_width(shown(row[i])));
  }
  std::string out;
  const auto line = [&](const auto& text_of, const auto& style_of) {
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string cell = text_of(i);
      const std::string space(widths[i] - display_width(cell), ' ');
      const std::string painted = terminal.out_paint(style_of(i), cell);
      if (i > 0) out += "  ";
      if (columns_[i].right) {
        out += space + painted;
      } else {
        out += painted + (i + 1 < columns_.size() ? space : "");
      }
    }
    out += "\n";
  };
  line([&](std::size_t i) { return columns_[i].title; }, [](std::size_t) { return Style::strong; });
  for (const auto& row : rows_) {
    line([&](std::size_t i) { return shown(row[i]); }, [&](std::size_t i) { return row[i].style; });
  }
  return out;
}

std::string relative_time(std::string_view rfc3339, std::int64_t now_utc_ns) {
  std::tm t{};
  const std::string text(rfc3339.substr(0, 40));
  if (std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour,
                  &t.tm_min, &t.tm_sec) != 6)
    return {};
  t.tm_year -= 1900;
  t.tm_mon -= 1;
  const std::int64_t then = timegm(&t);
  const std::int64_t gap = now_utc_ns / kSecond - then;
  const std::int64_t n = gap < 0 ? -gap : gap;
  const std::string amount = n < 120       ? fmt::format("{} s", n)
                             : n < 7200    ? fmt::format("{} min", n / 60)
                             : n < 172'800 ? fmt::format("{} h", n / 3600)
                                           : fmt::format("{} d", n / 86'400);
  return gap < 0 ? "in " + amount : amount + " ago";
}

}  // namespace tg::app
