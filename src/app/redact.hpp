// Takes secrets out of text that leaves the machine. Pure.
#pragma once

#include <string>
#include <string_view>

namespace tg::app {

// Replaces client keys, provider keys (sk-…, hf_…), bearer tokens and the values of fields and variables
// whose names say secret, token, password, key or authorization by [redacted]; user names in URLs too. Rather
// too much than too little.
std::string redacted(std::string_view text);

}  // namespace tg::app
