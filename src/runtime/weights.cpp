#include "runtime/weights.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/fetch.hpp"
#include "runtime/transfer_lines.hpp"

namespace tg::runtime {
namespace {

constexpr Nanos kProgressEvery = 100 * kMillisecond;

}  // namespace

struct Weights::Impl {
  using Key = std::pair<std::string, std::string>;  // source, demanded digest

  struct Job {
    std::map<std::uint64_t, Callback> askers;
    MemoryBound memory;
    std::jthread thread;  // not joinable: waits for its turn
  };

  Impl(net::Loop& l, Logger& lg, WeightsOptions options)
      : loop(l), log(lg), lines(lg, options.terminal), cache(std::move(options)), known(cache.known()) {}

  net::Loop& loop;
  Logger& log;
  TransferLines lines;
  WeightsCache cache;
  std::map<std::string, Fetched> known;  // by source
  std::map<Key, Job> jobs;
  std::map<Key, std::uint64_t> announced;  // sizes, as hosts stated them
  std::deque<Key> queue;
  std::size_t running = 0;
  std::uint64_t next_handle = 1;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);

  void start_queued();
  void launch(const Key& key, Job& job);
  void progressed(const Key& key, const replica::Progress& progress);
  void ended(const Key& key, const Result<Fetched>& result);
};

void Weights::Impl::start_queued() {
  while (running < cache.options().at_once && !queue.empty()) {
    const Key key = queue.front();
    queue.pop_front();
    const auto found = jobs.find(key);
    if (found != jobs.end() && !found->second.thread.joinable()) launch(key, found->second);
  }
}

void Weights::Impl::launch(const Key& key, Job& job) {
  ++running;
  log.info("fetching weights", {field("source", key.first)});
  job.thread = std::jthread(
      [this, key, memory = job.memory, token = std::weak_ptr<bool>(alive)](const std::stop_token& stop) {
        // `this` is valid as long as the thread runs: the destructor joins it. What is posted may run later
        // and asks the token.
        Nanos said = 0;
        int quarter = 0;
        const auto progress = [&, this](const replica::Progress& p) {
          const Nanos now = mono_now();
          if (now - said < kProgressEvery && quarters(p) == quarter) return;
          said = now;
          quarter = quarters(p);
          loop.post([this, key, token, p] {
            if (!token.expired()) progressed(key, p);
          });
        };
        auto result = fetch_weights(cache, key.first, key.second, memory, progress, stop);
        if (result && !result->sha256.empty()) cache.remember(*result);
        loop.post([this, key, token, result = std::move(result)] {
          if (!token.expired()) ended(key, result);
        });
      });
}

void Weights::Impl::progressed(const Key& key, const replica::Progress& progress) {
  const auto found = jobs.find(key);
  if (found == jobs.end()) return;
  if (progress.total != 0) announced[key] = progress.total;
  lines.progressed(key.first, progress, mono_now());
  WeightsUpdate update;
  update.progress = progress;
  std::vector<std::uint64_t> handles;
  for (const auto& [handle, callback] : found->second.askers) handles.push_back(handle);
  for (const std::uint64_t handle : handles) {
    const auto job = jobs.find(key);
    if (job == jobs.end()) return;
    const auto asker = job->second.askers.find(handle);
    if (asker != job->second.askers.end()) Callback(asker->second)(update);
  }
}

void Weights::Impl::ended(const Key& key, const Result<Fetched>& result) {
  const auto found = jobs.find(key);
  if (found == jobs.end()) return;
  found->second.thread.join();
  --running;
  lines.ended(key.first);
  if (result) {
    log.info("weights are here",
             {field("source", key.first), field("bytes", result->size), field("sha256", result->sha256)});
    known[key.first] = *result;
  } else if (result.error().code == "stopped" && !found->second.askers.empty()) {
    // Somebody asked again while it was being stopped.
    found->second.thread = {};
    queue.push_back(key);
    return start_queued();
  }
  auto askers = std::move(found->second.askers);
  jobs.erase(found);
  start_queued();
  WeightsUpdate update;
  if (result) {
    update.what = WeightsUpdate::What::present;
    update.path = result->path;
  } else {
    update.what = WeightsUpdate::What::failed;
    update.error = result.error();
    update.will_retry = worth_retrying(result.error());
  }
  for (const auto& [handle, callback] : askers) callback(update);
}

Weights::Weights(net::Loop& loop, Logger& log, WeightsOptions options)
    : impl_(std::make_unique<Impl>(loop, log, std::move(options))) {}

Weights::~Weights() {
  impl_->alive.reset();
  for (auto& [key, job] : impl_->jobs) job.thread.request_stop();
  impl_->jobs.clear();  // joins
}

bool Weights::handles(const std::string& source) {
  return source.starts_with("file://") || source.starts_with("hf://") || source.starts_with("https://") ||
         source.starts_with("http://");
}

std::optional<std::string> Weights::present(const std::string& source, const std::string& sha256) const {
  struct stat info{};
  const bool file = source.starts_with("file://");
  if (file && sha256.empty()) {
    std::string path = source.substr(7);
    if (!path.starts_with('/') || ::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode))
      return std::nullopt;
    return path;
  }
  const auto found = impl_->known.find(source);
  if (found == impl_->known.end()) return std::nullopt;
  const Fetched& f = found->second;
  if (!sha256.empty() && f.sha256 != sha256) return std::nullopt;
  if (::stat(f.path.c_str(), &info) != 0 || static_cast<std::uint64_t>(info.st_size) != f.size)
    return std::nullopt;
  const std::int64_t modified =
      static_cast<std::int64_t>(info.st_mtim.tv_sec) * kSecond + info.st_mtim.tv_nsec;
  if (file && modified != f.modified_ns) return std::nullopt;
  return f.path;
}

std::uint64_t Weights::announced(const std::string& source, const std::string& sha256) const {
  const auto found = impl_->announced.find({source, sha256});
  return found == impl_->announced.end() ? 0 : found->second;
}

std::uint64_t Weights::get(const std::string& source, const std::string& sha256, const MemoryBound& memory,
                           Callback callback) {
  const std::uint64_t handle = impl_->next_handle++;
  const Impl::Key key{source, sha256};
  const bool fresh = !impl_->jobs.contains(key);
  Impl::Job& job = impl_->jobs[key];
  job.askers.emplace(handle, std::move(callback));
  if (fresh) {
    job.memory = memory;
    impl_->queue.push_back(key);
    impl_->start_queued();
  }
  return handle;
}

void Weights::forget(std::uint64_t handle) {
  for (auto& [key, job] : impl_->jobs) {
    if (job.askers.erase(handle) == 0) continue;
    if (!job.askers.empty()) return;
    if (job.thread.joinable()) {
      job.thread.request_stop();  // ended() removes it
    } else {
      std::erase(impl_->queue, key);
      impl_->jobs.erase(key);
    }
    return;
  }
}

}  // namespace tg::runtime
