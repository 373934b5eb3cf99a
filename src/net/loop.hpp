// One epoll loop, one thread. Edge triggered: every descriptor is registered once for input, output and
// hang-up, and its handler reads or writes until the kernel says "again". Other threads reach the loop only
// through post().
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/fd.hpp"
#include "net/buffer.hpp"
#include "net/timer_wheel.hpp"

namespace tg::net {

class Loop;

// Something with a descriptor. A handler that is done calls Loop::remove and Loop::retire: it may still be on
// the list of events of the running iteration, so it is destroyed at that iteration's end and gets no further
// call.
class Handler {
 public:
  Handler() = default;
  virtual ~Handler() = default;
  Handler(const Handler&) = delete;
  Handler& operator=(const Handler&) = delete;
  virtual void on_events(std::uint32_t events) = 0;  // EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR

 private:
  friend class Loop;
  bool retired_ = false;
};

class Loop {
 public:
  using Task = std::function<void()>;

  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until stop(). The time of an iteration is read once, after epoll_wait.
  void run();
  // Any thread; the current iteration ends first.
  void stop();

  // `handler` must stay alive until remove() + retire(), or until the loop ends.
  void add(int fd, Handler& handler, std::uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  void remove(int fd);
  void retire(std::unique_ptr<Handler> handler);

  // Any thread: runs the task on the loop's thread, in the order posted.
  void post(Task task);
  // Loop thread: runs the task at the end of this iteration.
  void defer(Task task) { deferred_.push_back(std::move(task)); }

  Nanos now() const { return now_; }
  TimerWheel& timers() { return timers_; }
  void arm_after(Timer& timer, Nanos delay) { timers_.arm(timer, now_ + delay); }
  BufferPool& buffers() { return buffers_; }
  // A block for one recv; its content is lost at the next call into the loop's users.
  char* scratch() { return scratch_.get(); }
  static constexpr std::size_t kScratch = 64 * 1024;

 private:
  class Wakeup;
  class Trim;
  void run_posted();
  void finish_iteration();

  Fd epoll_;
  Fd wake_;
  std::unique_ptr<Handler> wakeup_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> woken_{false};
  std::mutex posted_mutex_;  // held for a vector swap or push only
  std::vector<Task> posted_;
  std::vector<Task> running_;
  std::vector<Task> deferred_;
  std::vector<std::unique_ptr<Handler>> retired_;
  Nanos now_;
  TimerWheel timers_;
  BufferPool buffers_;
  std::unique_ptr<Timer> trim_;  // armed only while the pool is large: an idle loop has no timer
  std::unique_ptr<char[]> scratch_;
};

// A timer that calls a function; for users that need more than one or none of their own class.
class CallbackTimer final : public Timer {
 public:
  explicit CallbackTimer(std::function<void(Nanos)> f) : function_(std::move(f)) {}

 private:
  void on_timer(Nanos now) override { function_(now); }
  std::function<void(Nanos)> function_;
};

}  // namespace tg::net
