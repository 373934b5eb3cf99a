// Offsets of time zones, for clouds that take hours of UTC only. Constant data, any thread.
#pragma once

#include <optional>
#include <string_view>

namespace tg::catalog {

// Minutes east of Greenwich by standard time ("Europe/Brussels" = 60, summer and winter); none if the zone is
// not in the list. "UTC" is 0.
std::optional<int> standard_offset(std::string_view zone);

}  // namespace tg::catalog
