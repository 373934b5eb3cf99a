// The time zones of the database, and their offsets for clouds that take hours of UTC only. Constant data,
// any thread.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace tg::catalog {

// All names: "Europe/Brussels", "Etc/GMT+3". UTC is known everywhere and not among them.
std::vector<std::string_view> time_zones();
// Minutes east of Greenwich by standard time ("Europe/Brussels" = 60, summer and winter); none if the zone is
// not in the list. "UTC" is 0.
std::optional<int> standard_offset(std::string_view zone);

}  // namespace tg::catalog
