#include "app/port_owner.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/files.hpp"

namespace tg::app {

namespace {

// Inodes of listening sockets on the port, from /proc/net/tcp and tcp6 (state 0A = LISTEN).
std::set<std::string> listening_inodes(std::uint16_t port) {
  std::set<std::string> inodes;
  const std::string wanted = fmt::format(":{:04X}", port);
  for (const char* path : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      std::istringstream words(line);
      std::string number, local, remote, state, skip, inode;
      words >> number >> local >> remote >> state >> skip >> skip >> skip >> skip >> skip >> inode;
      if (state == "0A" && local.ends_with(wanted)) inodes.insert("socket:[" + inode + "]");
    }
  }
  return inodes;
}

}  // namespace

std::string port_owner(std::uint16_t port) {
  namespace fs = std::filesystem;
  const auto inodes = listening_inodes(port);
  std::error_code problem;
  for (const auto& process : fs::directory_iterator("/proc", problem)) {
    const std::string pid = process.path().filename().string();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    std::error_code unreadable;
    for (const auto& fd : fs::directory_iterator(process.path() / "fd", unreadable)) {
      std::error_code gone;
      const auto target = fs::read_symlink(fd.path(), gone);
      if (gone || !inodes.contains(target.string())) continue;
      auto name = read_file((process.path() / "comm").string(), 4096).value_or("?");
      while (!name.empty() && name.back() == '\n') name.pop_back();
      return fmt::format(" by process {} ({})", pid, name);
    }
  }
  return {};
}

}  // namespace tg::app
