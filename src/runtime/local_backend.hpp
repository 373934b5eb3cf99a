// replica::Backend for this machine: each replica is a supervised engine process (or somebody else's server
// that is only watched). Lives on the control thread's loop and never blocks it: processes are started by
// posix_spawn, weights come by threads of their own, engines are asked over connections of that loop.
//
//   start → [fetching] → loading → ready → (failed | stop → stopped)
//
// `failed` of a process is final: its remains are ended without a further event. An external engine is
// watched on: it may become ready again under the same id. stop() of a replica that is gone answers `stopped`
// at once.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/log.hpp"
#include "http/client.hpp"
#include "net/loop.hpp"
#include "net/resolver.hpp"
#include "replica/backend.hpp"
#include "runtime/weights.hpp"

namespace tg::runtime {

struct LocalOptions {
  std::string data_dir;                 // DIR; cache/, logs/ and run/ below it are used
  std::size_t workers = 1;              // gateway threads
  std::string self = "/proc/self/exe";  // the program that knows the words _supervise and _simulate
  WeightsOptions weights;      // cache_dir is DIR/cache; empty hf_* come from HF_ENDPOINT and HF_TOKEN
  Nanos grace = 10 * kSecond;  // SIGTERM to SIGKILL
  Nanos probe_every = 20 * kMillisecond;
  Nanos probe_timeout = 5 * kSecond;
  Nanos start_timeout = 15 * kMinute;  // from exec to ready
  Nanos setup_timeout = kHour;         // one setup step, for example a pull by Ollama
  Nanos watch_every = 5 * kSecond;     // probes of a ready engine and memory samples
  int watch_failures = 3;              // refused connections in a row, then the replica failed
  std::uint64_t log_bytes = 10 << 20;  // per file, two files an engine
};

class LocalReplica;
struct LocalContext;

class LocalBackend final : public replica::Backend {
 public:
  // Ends what a former run left behind (waits up to two seconds for that): call it before the loop runs, with
  // DIR locked.
  LocalBackend(net::Loop& loop, net::Resolver& resolver, Logger& log, LocalOptions options);
  // Closes every life pipe: engines end by themselves, nothing is waited for.
  ~LocalBackend() override;

  void set_sink(Sink sink) override;
  replica::ReplicaId start(const spec::Model& model) override;
  void stop(replica::ReplicaId replica) override;
  replica::Capacity capacity() const override;
  std::uint64_t memory_need(const spec::Model& model) const override;
  bool weights_present(const spec::Model& model) const override;
  std::optional<replica::Reason> obstacle(const spec::Model& model) const override;

  // Processes not yet gone, those being ended included: 0 = it is safe to leave.
  std::size_t alive() const;

 private:
  std::unique_ptr<LocalContext> context_;
};

}  // namespace tg::runtime
