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

// "Sat,Sun 01:00-04:00", "Mon-Fri 01:00-04:00", "daily 02:00-04:00": checked text.
Window window(std::string_view written, std::string time_zone);
// When hosts may restart: upkeep.reboot, else upkeep.window. No days if never.
Window reboot_window(const Context& context);
// upkeep.window; where only upkeep.reboot is written, that.
Window upkeep_window(const Context& context);

}  // namespace tg::render
