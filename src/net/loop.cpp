#include "net/loop.hpp"

#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <limits>

namespace tg::net {

class Loop::Wakeup final : public Handler {
 public:
  Wakeup(Loop& loop, int fd) : loop_(loop), fd_(fd) {}
  void on_events(std::uint32_t) override {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t n = ::read(fd_, &count, sizeof count);
    loop_.run_posted();
  }

 private:
  Loop& loop_;
  int fd_;
};

class Loop::Trim final : public Timer {
 public:
  explicit Trim(BufferPool& buffers) : buffers_(buffers) {}

 private:
  void on_timer(Nanos) override { buffers_.trim(); }
  BufferPool& buffers_;
};

Loop::Loop()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      now_(mono_now()),
      timers_(now_),
      trim_(std::make_unique<Trim>(buffers_)),
      scratch_(new char[kScratch + kPadding]) {
  if (!epoll_ || !wake_) std::abort();  // no descriptors at start: nothing useful can follow
  wakeup_ = std::make_unique<Wakeup>(*this, wake_.get());
  add(wake_.get(), *wakeup_, EPOLLIN);
}

Loop::~Loop() {
  // What was not run by now speaks of objects that may be gone: dropped, while the members that handlers use
  // still exist.
  posted_.clear();
  deferred_.clear();
  while (!retired_.empty()) {
    const auto dying = std::move(retired_);
    retired_.clear();
  }
}

void Loop::add(int fd, Handler& handler, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &handler;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

void Loop::remove(int fd) { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

void Loop::retire(std::unique_ptr<Handler> handler) {
  handler->retired_ = true;
  retired_.push_back(std::move(handler));
}

void Loop::post(Task task) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(task));
  }
  if (!woken_.exchange(true)) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(wake_.get(), &one, sizeof one);
  }
}

void Loop::run_posted() {
  woken_.store(false);
  {
    const std::lock_guard lock(posted_mutex_);
    running_.swap(posted_);
  }
  for (Task& task : running_) task();
  running_.clear();
}

void Loop::stop() {
  stopping_.store(true);
  post([] {});
}

void Loop::finish_iteration() {
  // Deferred tasks may defer more; those run in the same iteration, retired handlers die last.
  for (std::size_t i = 0; i < deferred_.size(); ++i) {
    const Task task = std::move(deferred_[i]);
    task();
  }
  deferred_.clear();
  while (!retired_.empty()) {
    const auto dying = std::move(retired_);
    retired_.clear();
  }
  if (buffers_.large() && !trim_->armed()) arm_after(*trim_, kSecond);
}

void Loop::run() {
  std::array<epoll_event, 128> events{};
  while (!stopping_.load(std::memory_order_relaxed)) {
    const std::int64_t wait = timers_.next_wait_ms(mono_now());
    const int timeout = static_cast<int>(std::min<std::int64_t>(wait, std::numeric_limits<int>::max()));
    const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout);
    now_ = mono_now();
    for (int i = 0; i < n; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      auto* handler = static_cast<Handler*>(event.data.ptr);
      if (!handler->retired_) handler->on_events(event.events);
    }
    timers_.advance(now_);
    finish_iteration();
  }
}

}  // namespace tg::net
