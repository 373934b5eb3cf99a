#include "app/workers.hpp"

#include <sched.h>

#include <atomic>
#include <charconv>
#include <cmath>
#include <string_view>

#include "base/files.hpp"

namespace tg::app {

Workers::Workers(const Shared& shared, const http::ServerOptions& server, std::size_t max_requests,
                 std::vector<Fd> listeners, const std::shared_ptr<const gateway::Snapshot>& snapshot) {
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    auto t = std::make_unique<Thread>();
    gateway::WorkerOptions options;
    options.index = i;
    options.server = server;
    options.max_requests = max_requests;
    t->worker =
        std::make_unique<gateway::Worker>(t->loop, options, shared.keys, shared.ledger.journal(i),
                                          shared.metrics, shared.resolver, shared.log, shared.control);
    t->worker->set_snapshot(snapshot);
    t->worker->listen(std::move(listeners[i]));
    threads_.push_back(std::move(t));
  }
  for (auto& t : threads_) {
    // The worker lives and dies on its own thread: its connections belong to that loop.
    t->thread = std::thread([thread = t.get()] {
      thread->loop.run();
      thread->worker->cut_all();
      thread->worker.reset();
    });
  }
}

Workers::~Workers() {
  for (auto& t : threads_) t->loop.stop();
  for (auto& t : threads_) t->thread.join();
}

void Workers::set_snapshot(const std::shared_ptr<const gateway::Snapshot>& snapshot) {
  for (auto& t : threads_)
    t->loop.post([worker = t->worker.get(), snapshot] { worker->set_snapshot(snapshot); });
}

void Workers::grant(std::size_t worker, const replica::Grant& grant) {
  auto& t = *threads_[worker];
  t.loop.post([target = t.worker.get(), grant] { target->on_grant(grant); });
}

std::size_t Workers::connections() const {
  std::size_t sum = 0;
  for (const auto& t : threads_) sum += t->worker->connections();
  return sum;
}

std::size_t Workers::open_requests() const {
  std::size_t sum = 0;
  for (const auto& t : threads_) sum += t->worker->open_requests();
  return sum;
}

void Workers::set_ready(bool ready) {
  for (auto& t : threads_) t->loop.post([worker = t->worker.get(), ready] { worker->set_ready(ready); });
}

void Workers::drain(net::Loop& control, const std::function<void()>& done) {
  auto left = std::make_shared<std::size_t>(threads_.size());
  for (auto& t : threads_) {
    t->loop.post([worker = t->worker.get(), &control, left, done] {
      worker->drain([&control, left, done] {
        control.post([left, done] {
          if (--*left == 0) done();
        });
      });
    });
  }
}

namespace {

// The quota of the cgroup in cores, or 0 when there is none. Both cgroup versions.
double cgroup_cores() {
  if (const auto max = read_file("/sys/fs/cgroup/cpu.max", 4096)) {
    double quota = 0;
    double period = 0;
    const std::string_view text = *max;
    const std::size_t space = text.find(' ');
    if (space != std::string_view::npos && !text.starts_with("max")) {
      std::from_chars(text.data(), text.data() + space, quota);
      std::from_chars(text.data() + space + 1, text.data() + text.size(), period);
      if (period > 0) return quota / period;
    }
    return 0;
  }
  const auto quota_text = read_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", 4096);
  const auto period_text = read_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us", 4096);
  if (!quota_text || !period_text) return 0;
  double quota = 0;
  double period = 0;
  std::from_chars(quota_text->data(), quota_text->data() + quota_text->size(), quota);
  std::from_chars(period_text->data(), period_text->data() + period_text->size(), period);
  return quota > 0 && period > 0 ? quota / period : 0;
}

}  // namespace

std::size_t usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::size_t cores = 1;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = static_cast<std::size_t>(CPU_COUNT(&set));
  const double quota = cgroup_cores();
  if (quota > 0) cores = std::min(cores, static_cast<std::size_t>(std::max(1.0, std::floor(quota + 0.5))));
  return std::max<std::size_t>(1, cores);
}

}  // namespace tg::app
