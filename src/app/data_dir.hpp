// DIR: where it is, its layout and its lock.
//   VERSION lock tidegate.db journal/ spool/ state/ run/ logs/ cache/sha256/ documents/ key
// Everything is 0700/0600 of the user who runs tidegate.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/fd.hpp"

namespace tg::app {

using Environment = std::function<std::optional<std::string>(const char* name)>;
Environment process_environment();

// --data, else $XDG_DATA_HOME/tidegate, else $HOME/.local/share/tidegate, without HOME /var/lib/tidegate.
// Absolute.
Result<std::string> data_dir_path(std::string_view flag, const Environment& environment);

// The format of DIR that this program writes. A higher number in VERSION is refused.
inline constexpr int kDataVersion = 1;

inline std::string socket_path(const std::string& dir) { return dir + "/run/control.sock"; }

// A locked data directory; unlocked when it goes out of scope or the process ends, however that happens.
class DataDir {
 public:
  enum class Make { yes, no };
  // Creates DIR and its folders (Make::yes), checks VERSION, takes DIR/lock and writes the pid into it.
  // Errors: data_dir_in_use (names the pid), data_dir_newer, no_data_dir, cannot_create, cannot_write.
  static Result<DataDir> open(const std::string& path, Make make);

  const std::string& path() const { return path_; }

 private:
  DataDir(std::string path, Fd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  Fd lock_;
};

}  // namespace tg::app
