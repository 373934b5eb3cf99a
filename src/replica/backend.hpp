// What runs replicas: this machine's processes (runtime/), later a cluster's pods (operator/). The controller
// orders, the backend does, and reports what happened as events. All calls and all events are on the control
// thread; no call blocks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "spec/documents.hpp"

namespace tg::replica {

// Where an engine answers and how it is spoken to. Immutable once published.
struct Endpoint {
  std::string host;  // name or address
  std::uint16_t port = 0;
  bool tls = false;
  std::string base_path;      // prefix of the upstream path, "/v1" for OpenAI-compatible servers
  std::string authorization;  // whole header value, empty = none
  std::string model;          // the model name the upstream expects; empty = pass the client's
  std::string label;          // for people: "qwen3-4b-0" or a provider's name
};

using ReplicaId = std::uint64_t;  // never reused within a process's life

enum class Phase { fetching, loading, ready, draining, stopped, failed };
std::string_view phase_name(Phase phase);

// Why a replica is not ready, in the words of CLI, console and event.
struct Reason {
  std::string code;  // snake_case: "memory_short", "engine_exited", "weights_missing" …
  std::string text;  // with its numbers
  std::string hint;
};

struct Progress {
  std::uint64_t done = 0, total = 0;  // bytes; total 0 = unknown
};

// After `stopped` or `failed` the ReplicaId is over and nothing more comes for it; the controller starts a
// new one. One exception: a replica of engine `external` may become `ready` again after `failed`, under the
// same id.
struct Event {
  ReplicaId replica = 0;
  Phase phase = Phase::loading;
  Reason reason;  // with failed, and with fetching/loading when it waits for something
  std::shared_ptr<const Endpoint> endpoint;  // with ready
  int slots = 0;                             // with ready: concurrent requests it takes
  std::optional<Progress> progress;
  bool will_retry = true;  // with failed: false = the document must change first
};

// Memory this machine can give to engines and what a model's replica needs. Known before the first start
// (estimate), then measured.
struct Capacity {
  std::uint64_t total = 0;   // bytes usable by engines
  std::uint64_t in_use = 0;  // by running engines (measured peak or estimate)
  std::string limited_by;    // "cgroup limit" or "MemAvailable"
};

class Backend {
 public:
  virtual ~Backend() = default;
  using Sink = std::function<void(const Event&)>;
  // Before any other call. Events may also arrive from inside start() and stop().
  virtual void set_sink(Sink sink) = 0;
  virtual ReplicaId start(const spec::Model& model) = 0;
  // Ends the process (SIGTERM, then SIGKILL after 10 s). The controller has drained it; a `stopped` event
  // follows.
  virtual void stop(ReplicaId replica) = 0;
  virtual Capacity capacity() const = 0;
  // Bytes one replica of this model needs; 0 = unknown (nothing fetched yet).
  virtual std::uint64_t memory_need(const spec::Model& model) const = 0;
  // True when weights of the model are on this machine, so that a start has no fetch phase.
  virtual bool weights_present(const spec::Model& model) const = 0;
  // What would keep any replica of this model from starting, as far as it can be seen without a start;
  // nothing is fetched for such a model. Asked when documents are loaded, and again while it stands.
  virtual std::optional<Reason> obstacle(const spec::Model& model) const = 0;
};

}  // namespace tg::replica
