// For the tests of this folder: a loop driven until something happened, a directory of its own, a model.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include "base/clock.hpp"
#include "net/loop.hpp"
#include "runtime/process_tree.hpp"
#include "spec/documents.hpp"

namespace tg::runtime {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "tidegate-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A loop with its thread, as the control thread is one. The loop and what lives on it are touched through
// call() only.
class LoopThread {
 public:
  LoopThread() : thread_([this] { loop.run(); }) {}
  ~LoopThread() {
    loop.stop();
    thread_.join();
  }
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  // Runs `f` on the loop's thread and returns what it returns.
  template <class F>
  auto call(F f) {
    std::packaged_task<decltype(f())()> task(std::move(f));
    auto result = task.get_future();
    loop.post([&task] { task(); });
    return result.get();
  }
  // Asks on the loop's thread every two milliseconds. False: `done` did not hold within `bound`.
  bool until(const std::function<bool()>& done, Nanos bound = kMinute) {
    const Nanos end = mono_now() + bound;
    while (!call(done)) {
      if (mono_now() >= end) return false;
      ::usleep(2000);
    }
    return true;
  }

  net::Loop loop;

 private:
  std::thread thread_;
};

// Asks every two milliseconds.
inline bool wait_until(const std::function<bool()>& done, Nanos bound = kMinute) {
  const Nanos until = mono_now() + bound;
  while (!done()) {
    if (mono_now() >= until) return false;
    ::usleep(2000);
  }
  return true;
}

inline bool alive(const ProcessIdentity& process) {
  const auto stat = read_proc_stat(process.pid);
  return stat && stat->id.start == process.start && stat->state != 'Z';
}

inline spec::Model simulated_model(const std::string& name = "sim") {
  spec::Model m;
  m.name = name;
  m.engine = spec::EngineKind::simulated;
  m.simulated.context = 8192;
  m.slots = 2;
  return m;
}

}  // namespace tg::runtime
