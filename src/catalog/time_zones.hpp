// Names of time zones, as the list of IANA has them. Constant data, any thread.
#pragma once

#include <span>
#include <string_view>

namespace tg::catalog {

// Those of a region and a city, sorted: "Europe/Brussels". UTC is known everywhere and not among them.
std::span<const std::string_view> time_zones();

}  // namespace tg::catalog
