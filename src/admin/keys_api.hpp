// The key part of the admin API: its JSON in and out. Internal to admin/.
#pragma once

#include <string>

#include "admin/sources.hpp"
#include "base/error.hpp"

namespace tg::admin {

Result<std::string> list_keys(Sources& sources);
// body:
// {"name":"ci","tenant":"default","models":["a"],"limits":{"requestsPerMinute":60,"tokensPerMinute":0,"concurrent":0},
// "count":1}; every field may be left out.
Result<std::string> create_keys(Sources& sources, const std::string& body, bool dry_run);
// body: {"key":"name, first characters or the whole text"}
Result<std::string> revoke_key(Sources& sources, const std::string& body, bool dry_run);

}  // namespace tg::admin
