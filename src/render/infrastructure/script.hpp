// The shell scripts of own hosts. Their bodies are constant text; what differs between platforms is in
// inventory.sh, which all of them read.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "render/part.hpp"

namespace tg::render {

// A value as one word of a shell, in single quotes where it needs them.
std::string shell_word(std::string_view value);
// "(a 'b c')", and with names "([x]=1 [y]=2)".
std::string shell_list(const std::vector<std::string>& values);
std::string shell_map(const std::vector<std::pair<std::string, std::string>>& values);

// A program: first line, what it is for, safe settings, the functions of lib.sh, then `body`.
Extra script(std::string path, std::string_view purpose, std::string_view body);

// lib.sh: functions that leave alone what is already as wanted.
Extra script_library();
// prepare.sh: packages, swap, modules, sysctl, firewall, security updates. All hosts.
Extra script_prepare();

}  // namespace tg::render
