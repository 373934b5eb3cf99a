// The gateway's threads: one Worker with its loop each. Made, reached and joined by the control thread.
#pragma once

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/log.hpp"
#include "gateway/worker.hpp"
#include "ledger/writer.hpp"
#include "net/loop.hpp"
#include "net/resolver.hpp"

namespace tg::app {

class Workers {
 public:
  struct Shared {
    ledger::KeyRegistry& keys;
    ledger::LedgerWriter& ledger;
    Metrics& metrics;
    net::Resolver& resolver;
    Logger& log;
    gateway::ControlPort control;
  };

  // One worker for each listener.
  Workers(const Shared& shared, const http::ServerOptions& server, std::size_t max_requests,
          std::vector<Fd> listeners, const std::shared_ptr<const gateway::Snapshot>& snapshot);
  ~Workers();  // stops at once and joins

  void set_snapshot(const std::shared_ptr<const gateway::Snapshot>& snapshot);
  void grant(std::size_t worker, const replica::Grant& grant);
  void set_ready(bool ready);
  // Stops accepting; `done` runs on the control loop when every worker's last connection is gone.
  void drain(net::Loop& control, const std::function<void()>& done);
  std::size_t connections() const;
  std::size_t open_requests() const;
  std::size_t size() const { return threads_.size(); }

 private:
  struct Thread {
    net::Loop loop;
    std::unique_ptr<gateway::Worker> worker;
    std::thread thread;
  };
  std::vector<std::unique_ptr<Thread>> threads_;
};

// Cores this process may use: affinity and the cgroup's CPU quota, at least 1.
std::size_t usable_cores();

}  // namespace tg::app
