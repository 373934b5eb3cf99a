#include "runtime/process_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>

namespace tg::runtime {
namespace {

// /proc files are short and have no size; one read is one consistent text. Environments alone may be longer.
std::string read_proc(const std::string& path, std::size_t most = 8192) {
  constexpr std::size_t kPiece = 8192;
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  while (fd && text.size() < most) {
    const std::size_t have = text.size();
    text.resize(have + kPiece);
    const ssize_t n = ::read(fd.get(), text.data() + have, kPiece);
    text.resize(have + (n > 0 ? static_cast<std::size_t>(n) : 0));
    if (n <= 0) break;
  }
  return text;
}

template <class T>
bool to_number(std::string_view text, T& out) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), out);
  return problem == std::errc{} && end == text.data() + text.size();
}

}  // namespace

std::optional<ProcStat> parse_proc_stat(std::string_view text) {
  const std::size_t open = text.find(" (");
  const std::size_t close = text.rfind(") ");
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return std::nullopt;
  ProcStat stat;
  if (!to_number(text.substr(0, open), stat.id.pid)) return std::nullopt;
  std::string_view rest = text.substr(close + 2);
  // Field 3 is the first after the command.
  for (int field = 3; field <= 22; ++field) {
    const std::size_t space = rest.find_first_of(" \n");
    const std::string_view word = rest.substr(0, space);
    if (word.empty()) return std::nullopt;
    if (field == 3) stat.state = word[0];
    if (field == 4 && !to_number(word, stat.parent)) return std::nullopt;
    if (field == 6 && !to_number(word, stat.session)) return std::nullopt;
    if (field == 22 && !to_number(word, stat.id.start)) return std::nullopt;
    if (field < 22 && space == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(space == std::string_view::npos ? rest.size() : space + 1);
  }
  return stat;
}

std::optional<ProcStat> read_proc_stat(pid_t pid) {
  const std::string text = read_proc(fmt::format("/proc/{}/stat", pid));
  if (text.empty()) return std::nullopt;
  return parse_proc_stat(text);
}

std::vector<ProcStat> all_processes() {
  std::vector<ProcStat> result;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir("/proc"), ::closedir);
  if (!dir) return result;
  while (const dirent* entry = ::readdir(dir.get())) {
    pid_t pid = 0;
    if (!to_number(std::string_view(entry->d_name), pid)) continue;
    const auto stat = read_proc_stat(pid);
    if (stat && stat->state != 'Z' && stat->state != 'X') result.push_back(*stat);
  }
  return result;
}

std::vector<ProcessIdentity> descendants(const std::vector<ProcStat>& processes, pid_t root) {
  std::vector<ProcessIdentity> found;
  std::vector<pid_t> parents{root};
  while (!parents.empty()) {
    const pid_t parent = parents.back();
    parents.pop_back();
    for (const ProcStat& p : processes) {
      if (p.parent != parent || p.id.pid == root || std::ranges::find(found, p.id) != found.end()) continue;
      found.push_back(p.id);
      parents.push_back(p.id.pid);
    }
  }
  return found;
}

std::vector<ProcessIdentity> session_members(const std::vector<ProcStat>& processes, pid_t session) {
  std::vector<ProcessIdentity> found;
  for (const ProcStat& p : processes) {
    if (p.session == session) found.push_back(p.id);
  }
  return found;
}

std::string family_mark(const ProcessIdentity& supervisor) {
  return fmt::format("TIDEGATE_SUPERVISOR={}.{}", supervisor.pid, supervisor.start);
}

std::vector<ProcessIdentity> marked_processes(const std::vector<ProcStat>& processes,
                                              const std::string& mark) {
  // Each entry ends with a NUL; one in front makes the first like the others.
  const std::string wanted = std::string(1, '\0') + mark + std::string(1, '\0');
  std::vector<ProcessIdentity> found;
  for (const ProcStat& p : processes) {
    const std::string environment =
        std::string(1, '\0') + read_proc(fmt::format("/proc/{}/environ", p.id.pid), 2 << 20);
    if (environment.find(wanted) == std::string::npos) continue;
    // The pid may be another process by now.
    const auto still = read_proc_stat(p.id.pid);
    if (still && still->id == p.id) found.push_back(p.id);
  }
  return found;
}

Fd open_process(const ProcessIdentity& process) {
  Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
  if (!fd) return {};
  // The descriptor pins the process; only then is the start time compared, so there is no gap for a reused
  // pid.
  const auto stat = read_proc_stat(process.pid);
  if (!stat || stat->id.start != process.start) return {};
  return fd;
}

bool signal_process(const ProcessIdentity& process, int signal) {
  const Fd fd = open_process(process);
  return fd.valid() && ::syscall(SYS_pidfd_send_signal, fd.get(), signal, nullptr, 0) == 0;
}

std::string boot_id() {
  std::string text = read_proc("/proc/sys/kernel/random/boot_id");
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

namespace {
std::uint64_t status_bytes(pid_t pid, std::string_view field) {
  const std::string text = read_proc(fmt::format("/proc/{}/status", pid));
  const std::size_t at = text.find(field);
  if (at == std::string::npos) return 0;
  const std::size_t digit = text.find_first_of("0123456789", at);
  if (digit == std::string::npos) return 0;
  std::uint64_t kib = 0;
  std::from_chars(text.data() + digit, text.data() + text.size(), kib);
  return kib * 1024;
}
}  // namespace

std::uint64_t peak_resident(pid_t pid) { return status_bytes(pid, "\nVmHWM:"); }
std::uint64_t resident(pid_t pid) { return status_bytes(pid, "\nVmRSS:"); }

}  // namespace tg::runtime
