// The usage part of the admin API. Internal to admin/.
#pragma once

#include "admin/api.hpp"
#include "admin/sources.hpp"
#include "base/error.hpp"

namespace tg::admin {

// by=key,model,day&since=24h&until=2026-11-21&format=json|csv for sums; requests=true&limit=N for single
// requests.
Result<Response> get_usage(const Request& request, Sources& sources);

}  // namespace tg::admin
