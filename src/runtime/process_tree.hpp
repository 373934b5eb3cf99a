// Processes as /proc shows them. A process is named by pid and start time together, because a pid alone may
// be another program by now. No state; any thread; reads of /proc only.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.hpp"

namespace tg::runtime {

struct ProcessIdentity {
  pid_t pid = 0;
  std::uint64_t start = 0;  // field 22 of /proc/PID/stat: clock ticks after boot
  bool operator==(const ProcessIdentity&) const = default;
};

struct ProcStat {
  ProcessIdentity id;
  pid_t parent = 0;
  pid_t session = 0;
  char state = '?';
};

// One line of /proc/PID/stat. The command in parentheses may hold anything, parentheses and newlines too.
std::optional<ProcStat> parse_proc_stat(std::string_view text);
std::optional<ProcStat> read_proc_stat(pid_t pid);
// Every process that can be seen, zombies left out. A process that ends meanwhile is missing.
std::vector<ProcStat> all_processes();
// Children, their children and so on; `root` itself is not among them.
std::vector<ProcessIdentity> descendants(const std::vector<ProcStat>& processes, pid_t root);
// Members of a session, whoever their parent is now.
std::vector<ProcessIdentity> session_members(const std::vector<ProcStat>& processes, pid_t session);

// NAME=VALUE in the environment of an engine, by which its processes are found when their supervisor is dead
// and they have left its session.
std::string family_mark(const ProcessIdentity& supervisor);
// Processes that began with this mark in their environment. Those of other users cannot be read and are left
// out.
std::vector<ProcessIdentity> marked_processes(const std::vector<ProcStat>& processes,
                                              const std::string& mark);

// Sends the signal if pid and start time still name the same process. False: it is gone (or is not ours to
// signal).
bool signal_process(const ProcessIdentity& process, int signal);
// A pidfd of exactly this process: readable when it has ended. Invalid: it is gone.
Fd open_process(const ProcessIdentity& process);

// The kernel's id of this boot: start times of another boot mean nothing.
std::string boot_id();

// Resident bytes of a process: the most it ever had (VmHWM), and now (VmRSS). 0 if unknown.
std::uint64_t peak_resident(pid_t pid);
std::uint64_t resident(pid_t pid);

}  // namespace tg::runtime
