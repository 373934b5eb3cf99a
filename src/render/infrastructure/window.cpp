#include "render/infrastructure/window.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace tg::render {

namespace {

constexpr std::array<std::string_view, 7> kWeek{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

std::size_t day_number(std::string_view day) {
  return static_cast<std::size_t>(std::find(kWeek.begin(), kWeek.end(), day) - kWeek.begin()) % kWeek.size();
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

// "03:30" = 210.
int minutes(std::string_view clock) {
  const auto digit = [&](std::size_t i) { return clock[i] - '0'; };
  return (digit(0) * 10 + digit(1)) * 60 + digit(3) * 10 + digit(4);
}

constexpr int kDay = 24 * 60;

}  // namespace

std::string_view day_name(int day) {
  static constexpr std::array<std::string_view, 7> kNames{"Monday", "Tuesday",  "Wednesday", "Thursday",
                                                          "Friday", "Saturday", "Sunday"};
  return kNames.at(static_cast<std::size_t>(day));
}

UtcWindow in_utc(const Window& window, int offset) {
  UtcWindow out;
  const int from = minutes(window.from) - offset;
  const int shift = from < 0 ? -1 : from / kDay;
  out.from = from - shift * kDay;
  out.length = (minutes(window.to) - minutes(window.from) + kDay) % kDay;
  for (std::size_t d = 0; d < kWeek.size(); ++d) {
    if (std::find(window.days.begin(), window.days.end(), lower(kWeek[d])) != window.days.end())
      out.days.push_back((static_cast<int>(d) + shift + 7) % 7);
  }
  std::sort(out.days.begin(), out.days.end());
  return out;
}

std::string Window::text() const {
  if (days.empty()) return "never";
  std::string which;
  for (const std::string& d : days) {
    which += which.empty() ? "" : ",";
    which += d;
    which[which.size() - d.size()] = static_cast<char>(d.front() - 32);  // "Sun"
  }
  if (days.size() == kWeek.size()) which = "daily";
  return fmt::format("{} {}-{} {}", which, from, to, time_zone);
}

Window window(std::string_view written, std::string time_zone) {
  Window out{.time_zone = std::move(time_zone)};
  const std::size_t blank = written.find(' ');
  if (blank == std::string_view::npos) return out;  // "never"
  const std::string_view hours = written.substr(blank + 1);
  out.from = hours.substr(0, 5);
  out.to = hours.substr(6);
  std::array<bool, 7> on{};
  std::string_view days = written.substr(0, blank);
  if (days == "daily") on.fill(true);
  while (days != "daily" && !days.empty()) {
    const std::size_t comma = days.find(',');
    const std::string_view part = days.substr(0, comma);
    const std::size_t dash = part.find('-');
    const std::size_t last = day_number(dash == std::string_view::npos ? part : part.substr(dash + 1));
    for (std::size_t d = day_number(part.substr(0, dash));; d = (d + 1) % kWeek.size()) {
      on[d] = true;
      if (d == last) break;
    }
    days = comma == std::string_view::npos ? std::string_view{} : days.substr(comma + 1);
  }
  for (std::size_t d = 0; d < kWeek.size(); ++d) {
    if (on[d]) out.days.push_back(lower(kWeek[d]));
  }
  return out;
}

Window upkeep_window(const Context& context) {
  const spec::Reader& spec = context.spec();
  // Restarts are the care that people notice: where only they have hours, these are the window.
  Window at = window(spec.text("upkeep.window.at"), spec.text("upkeep.window.timeZone"));
  if (!spec.has("upkeep.window.at") && spec.has("upkeep.reboot.at")) {
    Window reboot = reboot_window(context);
    if (!reboot.days.empty()) return reboot;
  }
  return at;
}

Window reboot_window(const Context& context) {
  const spec::Reader& spec = context.spec();
  std::string at = spec.text("upkeep.reboot.at");
  std::string zone = spec.text("upkeep.reboot.timeZone");
  if (at.empty()) at = spec.text("upkeep.window.at");
  if (zone.empty()) zone = spec.text("upkeep.window.timeZone");
  return window(at, zone);
}

}  // namespace tg::render
