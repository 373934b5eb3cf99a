// The hours in which a platform may be disturbed, taken apart. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "render/context.hpp"

namespace tg::render {

struct Window {
  std::vector<std::string> days{};  // "sun", in the order of the week; all seven for "daily"
  std::string from{}, to{};         // "03:00"
  std::string time_zone{};
  std::string text() const;  // "Sun 03:00-05:00 Europe/Brussels"
};

// The same hours by UTC and standard time: clouds know no time zones, and in summer they come an hour later.
struct UtcWindow {
  std::vector<int> days{};   // on which it begins: 0 = Monday ... 6 = Sunday, ascending
  int from = 0, length = 0;  // minutes; it may end on the day after
};
// `offset`: minutes of its time zone east of Greenwich.
UtcWindow in_utc(const Window& window, int offset);
// "Monday": 0 to 6.
std::string_view day_name(int day);

// "Sat,Sun 01:00-04:00", "Mon-Fri 01:00-04:00", "daily 02:00-04:00": checked text.
Window window(std::string_view written, std::string time_zone);
// When hosts may restart: upkeep.reboot, else upkeep.window. No days if never.
Window reboot_window(const Context& context);
// upkeep.window; where only upkeep.reboot is written, that.
Window upkeep_window(const Context& context);

}  // namespace tg::render
