// One replica of LocalBackend: its steps from weights to ready and its end. Private to local_backend.cpp and
// local_replica.cpp.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>

#include "http/client.hpp"
#include "runtime/engine.hpp"
#include "runtime/engine_call.hpp"
#include "runtime/local_backend.hpp"
#include "runtime/memory.hpp"
#include "runtime/supervise.hpp"

namespace tg::runtime {

// What the replicas of one backend share.
struct LocalContext {
  LocalContext(net::Loop& l, net::Resolver& resolver, Logger& lg, LocalOptions o);
  ~LocalContext();

  net::Loop& loop;
  Logger& log;
  LocalOptions options;
  http::Upstreams upstreams;
  Weights weights;
  MemoryBook memory;
  replica::Backend::Sink sink;
  replica::ReplicaId next_id = 1;
  std::unordered_map<replica::ReplicaId, std::unique_ptr<LocalReplica>> replicas;
  std::map<std::string, int> starts;  // per model
  std::set<std::uint16_t> ports;      // given to engines that live
  net::CallbackTimer sampler;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);

  std::string dir(const char* name) const { return options.data_dir + "/" + name; }
  // A port nobody listens on just now. Another program may still take it: then the engine fails to start and
  // is tried again.
  Result<std::uint16_t> choose_port();
  void sample_memory();
  // `engine_missing` if the model's program cannot be run.
  std::optional<replica::Reason> missing_program(const spec::Model& model) const;
  // What engines may use in all, see Backend::capacity().
  replica::Capacity capacity() const;
  std::uint64_t memory_need(const spec::Model& model) const;
};

class LocalReplica {
 public:
  LocalReplica(LocalContext& context, replica::ReplicaId id, const spec::Model& model);
  ~LocalReplica();
  LocalReplica(const LocalReplica&) = delete;
  LocalReplica& operator=(const LocalReplica&) = delete;

  void begin();
  void stop();

  const spec::Model& model() const { return model_; }
  int ordinal() const { return ordinal_; }
  bool has_process() const { return supervised_.supervisor.pid != 0; }
  const ProcessIdentity& engine() const { return engine_; }
  pid_t supervisor() const { return supervised_.supervisor.pid; }
  bool ready() const { return state_ == State::ready; }
  Nanos ready_since() const { return ready_since_; }

 private:
  enum class State { waiting, starting, setting_up, ready, failed, stopping };
  class Watcher;

  void emit(replica::Phase phase, replica::Reason reason = {}, bool will_retry = true);
  void emit_progress(const replica::Progress& progress);
  void weights_update(const WeightsUpdate& update);
  void launch(const std::string& weights);
  void probe();
  void probed(const CallResult& result);
  void probed_without_key(const CallResult& result);
  void next_setup_step();
  void setup_done(const SetupStep& step, const CallResult& result);
  void run_setup_command(const SetupStep& step);
  void setup_command_ended();
  void became_ready();
  void watch(const CallResult& result);
  void on_reports();
  void on_report(const Report& report);
  void on_supervisor_gone();
  void fail(const char* code, std::string text, std::string hint = {}, bool will_retry = true);
  void end_process();
  void vanish();  // the last step: this object dies at the end of the loop's iteration
  std::string log_path() const;
  std::string last_words() const;

  LocalContext& context_;
  const replica::ReplicaId id_;
  const spec::Model model_;
  int ordinal_ = 0;
  std::string label_;
  State state_ = State::waiting;
  std::uint64_t weights_handle_ = 0;
  EnginePlan plan_;
  std::string probe_state_ = "no answer yet";  // for the reason when a start takes too long
  std::size_t setup_step_ = 0;
  Supervised supervised_;
  ProcessIdentity engine_, guard_;
  std::unique_ptr<Watcher> report_watcher_, pidfd_watcher_;
  std::string report_text_;
  bool engine_ended_ = false;
  int exec_error_ = 0;
  // A setup command is a second supervised process, at most one at a time.
  Supervised setup_process_;
  std::unique_ptr<Watcher> setup_watcher_;
  bool vanish_later_ = false;
  std::shared_ptr<RunningCall> call_;
  net::CallbackTimer timer_;     // the next probe
  net::CallbackTimer deadline_;  // of the start, later of the end
  Nanos ready_since_ = 0;
  int failures_ = 0;
};

}  // namespace tg::runtime
