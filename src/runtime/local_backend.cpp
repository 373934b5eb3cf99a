#include "runtime/local_backend.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/files.hpp"
#include "base/id.hpp"
#include "runtime/leftovers.hpp"
#include "runtime/local_replica.hpp"

namespace tg::runtime {
namespace {

LocalOptions completed(LocalOptions options) {
  options.weights.cache_dir = options.data_dir + "/cache";
  const auto from_environment = [](std::string& value, const char* name) {
    const char* given = std::getenv(name);
    if (value.empty() && given != nullptr) value = given;
  };
  from_environment(options.weights.hf_endpoint, "HF_ENDPOINT");
  from_environment(options.weights.hf_token, "HF_TOKEN");
  return options;
}

constexpr Nanos kSettled =
    30 * kSecond;  // a replica that was ready this long has met its peak, or is near it

}  // namespace

LocalContext::LocalContext(net::Loop& l, net::Resolver& resolver, Logger& lg, LocalOptions o)
    : loop(l),
      log(lg),
      options(completed(std::move(o))),
      upstreams(l, resolver),
      weights(l, lg, options.weights),
      memory(dir("cache") + "/engine-memory.json"),
      sampler([this](Nanos) { sample_memory(); }) {}

LocalContext::~LocalContext() = default;

// Below the range from which the kernel takes ports for outgoing connections: there nobody connects by
// chance, and a probe that comes before the engine cannot meet itself (a connection to one's own port
// succeeds).
Result<std::uint16_t> LocalContext::choose_port() {
  unsigned lowest = 32768;
  if (const auto range = read_file("/proc/sys/net/ipv4/ip_local_port_range", 64)) {
    std::from_chars(range->data(), range->data() + range->size(), lowest);
  }
  for (int attempt = 0; attempt < 256; ++attempt) {
    constexpr unsigned kSpan = 10'000;
    const bool below = lowest >= 2 * kSpan;  // else the range covers nearly all: take what the kernel gives
    const auto wish = static_cast<std::uint16_t>(below ? lowest - 1 - random_u64() % kSpan : 0);
    const auto address = net::numeric_address("127.0.0.1", wish);
    if (!address) return std::unexpected(address.error());
    const auto listener = net::listen_tcp(*address, false);
    if (!listener) continue;
    const auto bound = net::local_address(listener->get());
    if (bound && ports.insert(bound->port()).second) return bound->port();
  }
  return fail("no_port", "no free port on 127.0.0.1 for an engine");
}

void LocalContext::sample_memory() {
  const bool any = std::ranges::any_of(replicas, [](const auto& r) { return r.second->has_process(); });
  if (!any) return;  // start() arms the timer again
  const auto processes = all_processes();
  for (const auto& [id, r] : replicas) {
    if (!r->has_process()) continue;
    std::uint64_t peak = 0;
    for (const ProcessIdentity& p : session_members(processes, r->supervisor())) {
      if (p.pid != r->supervisor()) peak += peak_resident(p.pid);
    }
    if (peak != 0) memory.sample(r->model(), peak, r->ready() && loop.now() - r->ready_since() >= kSettled);
  }
  memory.save();
  loop.arm_after(sampler, options.watch_every);
}

replica::Capacity LocalContext::capacity() const {
  replica::Capacity capacity;
  std::uint64_t held = 0;
  for (const auto& [id, r] : replicas) {
    if (!r->has_process()) continue;
    capacity.in_use += memory_need(r->model());
    held += resident(r->engine().pid);
  }
  const auto meminfo = read_file("/proc/meminfo", 1 << 20);
  // What engines hold now counts as available to engines.
  capacity.total = (meminfo ? memory_available(*meminfo) : 0) + held;
  capacity.limited_by = "MemAvailable";
  const auto limit = cgroup_memory_limit();
  if (limit && *limit < capacity.total) {
    capacity.total = *limit;
    capacity.limited_by = "cgroup limit";
  }
  return capacity;
}

std::uint64_t LocalContext::memory_need(const spec::Model& model) const {
  std::optional<std::string> path;
  if (Weights::handles(model.source)) path = weights.present(model.source, model.sha256);
  return memory.need(model, path, weights.announced(model.source, model.sha256));
}

// As execvp() looks for it.
std::optional<replica::Reason> LocalContext::missing_program(const spec::Model& model) const {
  const std::string program = engine_program(model);
  if (program.empty()) return std::nullopt;
  const std::string hint = "install it, or name its path in spec.command";
  if (program.find('/') != std::string::npos) {
    if (::access(program.c_str(), X_OK) == 0) return std::nullopt;
    return replica::Reason{"engine_missing", fmt::format("cannot run {}: {}", program, std::strerror(errno)),
                           hint};
  }
  const char* given = std::getenv("PATH");
  for (std::string_view path = given != nullptr ? given : "/bin:/usr/bin"; !path.empty();) {
    const std::size_t end = path.find(':');
    const std::string folder(path.substr(0, end));
    if (::access(fmt::format("{}/{}", folder.empty() ? "." : folder, program).c_str(), X_OK) == 0)
      return std::nullopt;
    path = end == std::string_view::npos ? std::string_view() : path.substr(end + 1);
  }
  return replica::Reason{"engine_missing", fmt::format("cannot run {}: it is not on PATH", program), hint};
}

LocalBackend::LocalBackend(net::Loop& loop, net::Resolver& resolver, Logger& log, LocalOptions options) {
  for (const char* name : {"cache", "logs", "run"}) {
    if (auto made = make_directories(options.data_dir + "/" + name); !made)
      log.error("cannot make a directory", made.error());
  }
  const std::size_t ended = end_leftovers(options.data_dir + "/run", 2 * kSecond);
  if (ended != 0) log.warn("ended processes that a former run left", {field("processes", ended)});
  context_ = std::make_unique<LocalContext>(loop, resolver, log, std::move(options));
}

LocalBackend::~LocalBackend() {
  context_->sink = nullptr;
  context_->replicas.clear();
}

void LocalBackend::set_sink(Sink sink) { context_->sink = std::move(sink); }

replica::ReplicaId LocalBackend::start(const spec::Model& model) {
  const replica::ReplicaId id = context_->next_id++;
  auto made = std::make_unique<LocalReplica>(*context_, id, model);
  LocalReplica& r = *made;
  context_->replicas.emplace(id, std::move(made));
  r.begin();
  if (!context_->sampler.armed()) context_->loop.arm_after(context_->sampler, context_->options.watch_every);
  return id;
}

void LocalBackend::stop(replica::ReplicaId id) {
  const auto found = context_->replicas.find(id);
  if (found != context_->replicas.end()) return found->second->stop();
  replica::Event event;
  event.replica = id;
  event.phase = replica::Phase::stopped;
  if (context_->sink) context_->sink(event);
}

replica::Capacity LocalBackend::capacity() const { return context_->capacity(); }

std::uint64_t LocalBackend::memory_need(const spec::Model& model) const {
  return context_->memory_need(model);
}

std::optional<replica::Reason> LocalBackend::obstacle(const spec::Model& model) const {
  return context_->missing_program(model);
}

bool LocalBackend::weights_present(const spec::Model& model) const {
  return !Weights::handles(model.source) || context_->weights.present(model.source, model.sha256).has_value();
}

std::size_t LocalBackend::alive() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(context_->replicas, [](const auto& r) { return r.second->has_process(); }));
}

}  // namespace tg::runtime
