#include "runtime/supervise.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>

#include "runtime/log_file.hpp"

namespace tg::runtime {
namespace {

struct Arguments {
  int life = -1, report = -1;
  std::string log_path;
  std::uint64_t log_bytes = 0;
  std::int64_t grace_ms = 0;
  char** program = nullptr;  // null-terminated
};

template <class T>
bool number(const char* text, T& out) {
  const std::string_view view(text);
  const auto [end, problem] = std::from_chars(view.data(), view.data() + view.size(), out);
  return problem == std::errc{} && end == view.data() + view.size() && out >= 0;
}

bool parse_arguments(int argc, char** argv, Arguments& a) {
  if (argc < 8 || std::string_view(argv[6]) != "--") return false;
  a.log_path = argv[3];
  a.program = argv + 7;
  return number(argv[1], a.life) && number(argv[2], a.report) && number(argv[4], a.log_bytes) &&
         a.log_bytes > 0 && number(argv[5], a.grace_ms);
}

// Waits for the supervisor's end (the pipe's other end closes) and kills what it left: its session, and what
// left that for one of its own but began with the engine's mark. In a session of its own, so that it is not
// its own victim.
[[noreturn]] void guard(int pipe_end, const ProcessIdentity& supervisor) {
  const std::string mark = family_mark(supervisor);
  ::setsid();
  char byte;
  while (::read(pipe_end, &byte, 1) < 0 && errno == EINTR) {
  }
  // Each pass may miss a process that was just being forked; three empty passes end it.
  for (int empty = 0; empty < 3;) {
    const auto processes = all_processes();
    auto left = session_members(processes, supervisor.pid);
    const auto marked = marked_processes(processes, mark);
    left.insert(left.end(), marked.begin(), marked.end());
    for (const ProcessIdentity& p : left) signal_process(p, SIGKILL);
    empty = left.empty() ? empty + 1 : 0;
    ::usleep(5'000);
  }
  ::_exit(0);
}

class Supervisor {
 public:
  explicit Supervisor(const Arguments& a) : arguments_(a), log_(a.log_path, a.log_bytes) {}

  int run() {
    ::setsid();  // fails only if this is a session leader already
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    ::signal(SIGPIPE, SIG_IGN);
    for (const int fd : {arguments_.life, arguments_.report}) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    ::fcntl(arguments_.report, F_SETFL, O_NONBLOCK);  // a gateway that does not read must not hold us up
    sigset_t mask;
    sigemptyset(&mask);
    for (const int s : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&mask, s);
    ::sigprocmask(SIG_BLOCK, &mask, &old_mask_);
    signals_.reset(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
    if (const auto self = read_proc_stat(::getpid())) self_ = self->id;
    if (!start_guard() || !start_engine()) return 1;
    loop();
    read_output();
    say("gone\n");
    return 0;
  }

 private:
  enum class State { running, ending, killing };

  void say(const std::string& line) {
    [[maybe_unused]] const ssize_t n = ::write(arguments_.report, line.data(), line.size());
  }

  void say_process(std::string_view what, pid_t pid) {
    const auto stat = read_proc_stat(pid);
    say(fmt::format("{} {} {}\n", what, pid, stat ? stat->id.start : 0));
  }

  bool start_guard() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    guard_ = ::fork();
    if (guard_ < 0) return false;
    if (guard_ == 0) {
      ::close(ends[1]);
      // The gateway must not take a living guard for a living supervisor.
      for (const int fd : {arguments_.life, arguments_.report, signals_.get()}) ::close(fd);
      guard(ends[0], self_);
    }
    ::close(ends[0]);
    guard_pipe_.reset(ends[1]);
    say_process("guard", guard_);
    return true;
  }

  bool start_engine() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    const pid_t self = ::getpid();
    engine_ = ::fork();
    if (engine_ < 0) return false;
    if (engine_ == 0) {
      // SIGKILL, for nobody is left to follow a SIGTERM up. The parent may be dead before the call took
      // effect.
      ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
      if (::getppid() != self) ::_exit(127);
      const int null = ::open("/dev/null", O_RDONLY);
      ::dup2(null, 0);
      ::dup2(ends[1], 1);
      ::dup2(ends[1], 2);
      ::signal(SIGPIPE, SIG_DFL);
      std::string mark = family_mark(self_);
      ::putenv(mark.data());
      ::sigprocmask(SIG_SETMASK, &old_mask_, nullptr);
      ::execvp(arguments_.program[0], arguments_.program);
      say(fmt::format("cannot_exec {}\n", errno));
      ::_exit(127);
    }
    ::close(ends[1]);
    output_.reset(ends[0]);
    ::fcntl(output_.get(), F_SETFL, O_NONBLOCK);
    say_process("started", engine_);
    return true;
  }

  void loop() {
    for (;;) {
      std::array<pollfd, 3> fds{
          {{arguments_.life, POLLIN, 0}, {signals_.get(), POLLIN, 0}, {output_.get(), POLLIN, 0}}};
      if (state_ != State::running) fds[0].fd = -1;  // it stays readable at its end
      ::poll(fds.data(), fds.size(), wait_ms());
      if ((fds[2].revents & (POLLIN | POLLHUP | POLLERR)) != 0) read_output();
      if ((fds[1].revents & POLLIN) != 0) read_signals();
      if (fds[0].revents != 0 && life_ended()) end();
      if (state_ == State::ending && mono_now() >= deadline_) state_ = State::killing;
      if (state_ == State::running) continue;
      const auto left = living();
      if (left.empty()) return;
      if (state_ == State::killing) {
        for (const ProcessIdentity& p : left) signal_process(p, SIGKILL);
      }
    }
  }

  // While something is being ended, look again now and then: a grandchild's end sends no signal here.
  int wait_ms() const {
    if (state_ == State::running) return -1;
    return state_ == State::killing ? 5 : 20;
  }

  bool life_ended() {
    char byte;
    return ::read(arguments_.life, &byte, 1) == 0;
  }

  void read_signals() {
    signalfd_siginfo info{};
    bool stop = false;
    while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      stop = stop || info.ssi_signo != SIGCHLD;
    }
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (pid != engine_) continue;
      read_output();  // the last words first: the gateway quotes them
      say(WIFSIGNALED(status) ? fmt::format("signaled {}\n", WTERMSIG(status))
                              : fmt::format("exited {}\n", WEXITSTATUS(status)));
      stop = true;
    }
    if (stop) end();
  }

  void end() {
    if (state_ != State::running) return;
    state_ = State::ending;
    deadline_ = mono_now() + arguments_.grace_ms * kMillisecond;
    for (const ProcessIdentity& p : living()) signal_process(p, SIGTERM);
  }

  std::vector<ProcessIdentity> living() const {
    auto found = descendants(all_processes(), ::getpid());
    std::erase_if(found, [this](const ProcessIdentity& p) { return p.pid == guard_; });
    return found;
  }

  void read_output() {
    if (!output_) return;
    std::array<char, 16384> block;
    for (;;) {
      const ssize_t n = ::read(output_.get(), block.data(), block.size());
      if (n > 0) {
        log_.write({block.data(), static_cast<std::size_t>(n)});
      } else {
        if (n == 0) output_.reset();
        if (n == 0 || errno != EINTR) return;
      }
    }
  }

  Arguments arguments_;
  LogFile log_;
  sigset_t old_mask_{};
  Fd signals_, output_, guard_pipe_;
  ProcessIdentity self_;
  pid_t guard_ = -1, engine_ = -1;
  State state_ = State::running;
  Nanos deadline_ = 0;
};

}  // namespace

int supervise_main(int argc, char** argv) {
  Arguments arguments;
  if (!parse_arguments(argc, argv, arguments)) return 2;
  ::umask(077);
  return Supervisor(arguments).run();
}

}  // namespace tg::runtime
