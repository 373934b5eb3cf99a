// The hidden word `tidegate _supervise`: one small process between the gateway and one engine, so that no
// engine outlives the gateway, however that ends. Single threaded.
//
//   gateway ──life pipe──▶ supervisor ──fork──▶ engine (PDEATHSIG=SIGKILL) ──▶ its own children
//   gateway ◀─report pipe─ supervisor ──fork──▶ guard
//
// End of the life pipe (the gateway closed it to stop the engine, or died): SIGTERM to every descendant,
// after the grace SIGKILL. The guard does nothing but wait for the supervisor's end; was the supervisor
// killed, it kills the session.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/fd.hpp"
#include "runtime/process_tree.hpp"

namespace tg::runtime {

// argv[0] is the word itself: `_supervise LIFE_FD REPORT_FD LOG_PATH LOG_BYTES GRACE_MS -- PROGRAM
// ARGUMENT...`. Returns the exit status of the process: 0 when the engine and all its descendants are gone, 2
// for wrong arguments.
int supervise_main(int argc, char** argv);

// ---- The gateway's side ----

struct SuperviseRequest {
  std::vector<std::string> argv;  // the engine; argv[0] is looked up on PATH if it has no slash
  std::vector<std::string> env;   // complete environment, "NAME=value"
  std::string log_path;
  std::uint64_t log_bytes = 10 << 20;  // a file; there are two
  Nanos grace = 10 * kSecond;
  std::string self = "/proc/self/exe";  // the program that knows the word `_supervise`
};

// Closing `life` (or dying) ends the engine. `report` carries lines for parse_report. `pidfd` is readable
// when the supervisor is gone; then call waitpid(supervisor.pid). All are non-blocking and close-on-exec.
struct Supervised {
  ProcessIdentity supervisor;
  Fd life;
  Fd report;
  Fd pidfd;
};

// Starts the supervisor by posix_spawn: no copy of this process's memory. Takes about a millisecond.
Result<Supervised> spawn_supervised(const SuperviseRequest& request);

// What a supervisor says, one line each.
struct Report {
  enum class What { guard, started, cannot_exec, exited, signaled, gone, unknown };
  What what = What::unknown;
  ProcessIdentity process;  // guard, started: that of the engine
  int value = 0;            // errno, exit status or signal
};
Report parse_report(std::string_view line);

// The environment engines get: the names they need (PATH, HOME, locale, proxies, CUDA_*, GGML_* …) and
// nothing else, for the gateway's own may hold the credentials of providers. `extra` replaces and adds.
std::vector<std::string> engine_environment(char* const* environment,
                                            const std::vector<std::pair<std::string, std::string>>& extra);

}  // namespace tg::runtime
