#include "runtime/local_replica.hpp"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/files.hpp"
#include "base/id.hpp"
#include "base/units.hpp"
#include "runtime/leftovers.hpp"
#include "runtime/log_file.hpp"

namespace tg::runtime {

using replica::Phase;

// Calls a function when its descriptor becomes readable.
class LocalReplica::Watcher final : public net::Handler {
 public:
  Watcher(net::Loop& loop, int fd, std::function<void()> f) : loop_(loop), fd_(fd), function_(std::move(f)) {
    loop_.add(fd_, *this, EPOLLIN | EPOLLET);
  }
  static void end(std::unique_ptr<Watcher>& watcher) {
    if (!watcher) return;
    watcher->loop_.remove(watcher->fd_);
    watcher->function_ = nullptr;
    net::Loop& loop = watcher->loop_;
    loop.retire(std::move(watcher));
  }

 private:
  void on_events(std::uint32_t) override {
    const auto f = function_;  // the call may end this watcher
    if (f) f();
  }
  net::Loop& loop_;
  int fd_;
  std::function<void()> function_;
};

LocalReplica::LocalReplica(LocalContext& context, replica::ReplicaId id, const spec::Model& model)
    : context_(context), id_(id), model_(model), timer_([this](Nanos) { probe(); }), deadline_([this](Nanos) {
        if (state_ == State::stopping || state_ == State::failed) {
          // The supervisor itself hangs or was stopped: its guard and the session rule end the rest.
          signal_process(supervised_.supervisor, SIGKILL);
        } else {
          fail("start_timeout",
               fmt::format("not ready after {}: {}", format_duration(context_.options.start_timeout),
                           probe_state_),
               "tidegate models logs " + model_.name);
        }
      }) {
  const auto taken = [&context, this] {
    return std::ranges::any_of(context.replicas, [this](const auto& r) {
      return r.second->model().name == model_.name && r.second->ordinal() == ordinal_;
    });
  };
  while (taken()) ++ordinal_;
  label_ = fmt::format("{}-{}", model_.name, ordinal_);
}

LocalReplica::~LocalReplica() {
  if (weights_handle_ != 0) context_.weights.forget(weights_handle_);
  Watcher::end(report_watcher_);
  Watcher::end(pidfd_watcher_);
  Watcher::end(setup_watcher_);
  if (plan_.endpoint.port != 0 && !plan_.argv.empty()) context_.ports.erase(plan_.endpoint.port);
}

std::string LocalReplica::log_path() const { return fmt::format("{}/{}.log", context_.dir("logs"), label_); }

std::string LocalReplica::last_words() const {
  std::string text;
  for (const std::string& line : runtime::last_words(log_path())) text += (text.empty() ? "" : " | ") + line;
  return text;
}

void LocalReplica::emit(Phase phase, replica::Reason reason, bool will_retry) {
  replica::Event event;
  event.replica = id_;
  event.phase = phase;
  event.reason = std::move(reason);
  event.will_retry = will_retry;
  if (phase == Phase::ready) {
    event.endpoint = std::make_shared<const replica::Endpoint>(plan_.endpoint);
    event.slots = plan_.slots;
  }
  if (context_.sink) context_.sink(event);
}

void LocalReplica::emit_progress(const replica::Progress& progress) {
  replica::Event event;
  event.replica = id_;
  event.phase = Phase::fetching;
  event.progress = progress;
  if (context_.sink) context_.sink(event);
}

// ---- Weights
// ----------------------------------------------------------------------------------------------------------

void LocalReplica::begin() {
  const bool process = model_.engine != spec::EngineKind::external;
  if (auto missing = context_.missing_program(model_))
    return fail("engine_missing", std::move(missing->text), std::move(missing->hint));
  if (!process || !Weights::handles(model_.source)) return launch({});
  if (const auto path = context_.weights.present(model_.source, model_.sha256)) return launch(*path);
  emit(Phase::fetching);
  // The document's word on the memory is as good as the file's size.
  MemoryBound bound;
  if (model_.memory == 0) {
    auto capacity = context_.capacity();
    bound = {capacity.total, std::move(capacity.limited_by)};
  }
  weights_handle_ = context_.weights.get(model_.source, model_.sha256, bound,
                                         [this](const WeightsUpdate& u) { weights_update(u); });
}

void LocalReplica::weights_update(const WeightsUpdate& update) {
  if (state_ != State::waiting) return;
  switch (update.what) {
    case WeightsUpdate::What::progress:
      return emit_progress(update.progress);
    case WeightsUpdate::What::present:
      weights_handle_ = 0;
      return launch(update.path);
    case WeightsUpdate::What::failed:
      weights_handle_ = 0;
      return fail(update.error.code.c_str(), update.error.message, update.error.hint, update.will_retry);
  }
}

// ---- Start
// ------------------------------------------------------------------------------------------------------------

void LocalReplica::launch(const std::string& weights) {
  const bool external = model_.engine == spec::EngineKind::external ||
                        (model_.engine == spec::EngineKind::ollama && !model_.ollama.url.empty());
  std::uint16_t port = 0;
  if (!external) {
    auto chosen = context_.choose_port();
    if (!chosen) return fail(chosen.error().code.c_str(), chosen.error().message, chosen.error().hint);
    port = *chosen;
  }
  std::uint8_t secret[16];
  random_bytes(secret);
  // Models that the user's own Ollama has are not pulled again.
  const char* ollama_models = std::getenv("OLLAMA_MODELS");
  const PlanInput input{.model = model_,
                        .label = label_,
                        .self = context_.options.self,
                        .weights = weights,
                        .port = port,
                        .key = to_hex(secret),
                        .workers = context_.options.workers,
                        .engine_data = context_.dir("cache") + "/ollama",
                        .ollama_models = ollama_models != nullptr ? ollama_models : "",
                        .start = ++context_.starts[model_.name]};
  auto plan = plan_engine(input);
  if (!plan) {
    context_.ports.erase(port);
    return fail(plan.error().code.c_str(), plan.error().message, plan.error().hint, false);
  }
  plan_ = std::move(*plan);
  state_ = State::starting;
  context_.loop.arm_after(deadline_, context_.options.start_timeout);
  if (plan_.argv.empty()) {
    emit(Phase::loading);
    return probe();
  }

  if (model_.engine == spec::EngineKind::ollama) {
    if (auto made = make_directories(input.engine_data); !made)
      return fail("cannot_start", made.error().message, made.error().hint);
  }
  for (const auto& [path, content] : plan_.files) {
    if (auto written = replace_file(path, content); !written)
      return fail("cannot_start", written.error().message, written.error().hint);
  }
  SuperviseRequest request;
  request.argv = plan_.argv;
  request.env = engine_environment(environ, plan_.env);
  request.log_path = log_path();
  request.log_bytes = context_.options.log_bytes;
  request.grace = context_.options.grace;
  request.self = context_.options.self;
  auto spawned = spawn_supervised(request);
  if (!spawned) return fail("cannot_start", spawned.error().message, spawned.error().hint);
  supervised_ = std::move(*spawned);
  report_watcher_ =
      std::make_unique<Watcher>(context_.loop, supervised_.report.get(), [this] { on_reports(); });
  if (supervised_.pidfd) {
    pidfd_watcher_ =
        std::make_unique<Watcher>(context_.loop, supervised_.pidfd.get(), [this] { on_supervisor_gone(); });
  }
  emit(Phase::loading);
  context_.loop.arm_after(timer_, context_.options.probe_every);
}

void LocalReplica::probe() {
  if (state_ == State::ready) {
    call_ = call_engine(context_.upstreams, plan_.endpoint, true, plan_.probe, context_.options.probe_timeout,
                        [this](const CallResult& r) { watch(r); });
  } else if (state_ == State::starting || (state_ == State::failed && plan_.argv.empty())) {
    call_ = call_engine(context_.upstreams, plan_.endpoint, true, plan_.probe, context_.options.probe_timeout,
                        [this](const CallResult& r) { probed(r); });
  }
}

void LocalReplica::probed(const CallResult& result) {
  call_.reset();
  if (wanted(plan_.probe, result)) {
    if (plan_.probe_demands_key) {
      call_ =
          call_engine(context_.upstreams, plan_.endpoint, false, plan_.probe, context_.options.probe_timeout,
                      [this](const CallResult& r) { probed_without_key(r); });
      return;
    }
    return next_setup_step();
  }
  probe_state_ = fmt::format("{}:{} {}", plan_.endpoint.host, plan_.endpoint.port, describe(result));
  const bool watched = plan_.argv.empty();
  if (watched && state_ == State::starting) {
    return fail("engine_unreachable", probe_state_, "is the server running, and is the URL right?");
  }
  context_.loop.arm_after(timer_, watched ? context_.options.watch_every : context_.options.probe_every);
}

void LocalReplica::probed_without_key(const CallResult& result) {
  call_.reset();
  if (result.what == CallResult::What::answered && result.status != 401) {
    return fail("port_taken",
                fmt::format("another program answers on 127.0.0.1:{}: it does not ask for our key",
                            plan_.endpoint.port));
  }
  if (result.what != CallResult::What::answered)
    return context_.loop.arm_after(timer_, context_.options.probe_every);
  next_setup_step();
}

// ---- Setup
// ------------------------------------------------------------------------------------------------------------

void LocalReplica::next_setup_step() {
  if (setup_step_ == plan_.setup.size()) return became_ready();
  const SetupStep& step = plan_.setup[setup_step_];
  if (state_ == State::failed) state_ = State::starting;  // a server that came back
  state_ = State::setting_up;
  probe_state_ = step.what;
  const auto act = [this, &step] {
    context_.loop.arm_after(deadline_,
                            step.downloads ? context_.options.setup_timeout : context_.options.start_timeout);
    if (step.call.path.empty()) return run_setup_command(step);
    call_ = call_engine(context_.upstreams, plan_.endpoint, true, step.call, context_.options.setup_timeout,
                        [this, &step](const CallResult& r) { setup_done(step, r); });
  };
  if (step.unless.path.empty()) return act();
  call_ = call_engine(context_.upstreams, plan_.endpoint, true, step.unless, context_.options.probe_timeout,
                      [this, &step, act](const CallResult& r) {
                        call_.reset();
                        if (!wanted(step.unless, r)) return act();
                        ++setup_step_;
                        next_setup_step();
                      });
}

void LocalReplica::setup_done(const SetupStep& step, const CallResult& result) {
  call_.reset();
  if (!wanted(step.call, result)) {
    return fail("engine_setup",
                fmt::format("{}: the engine {} {}", step.what, describe(result), result.body.substr(0, 200)));
  }
  ++setup_step_;
  next_setup_step();
}

void LocalReplica::run_setup_command(const SetupStep& step) {
  SuperviseRequest request;
  request.argv = step.command;
  request.env = engine_environment(environ, plan_.env);
  request.log_path = log_path() + ".setup";
  request.log_bytes = context_.options.log_bytes;
  request.grace = context_.options.grace;
  request.self = context_.options.self;
  auto spawned = spawn_supervised(request);
  if (!spawned) return fail("engine_setup", spawned.error().message, spawned.error().hint);
  setup_process_ = std::move(*spawned);
  setup_watcher_ =
      std::make_unique<Watcher>(context_.loop, setup_process_.pidfd.get(), [this] { setup_command_ended(); });
}

void LocalReplica::setup_command_ended() {
  std::string text(4096, '\0');
  const ssize_t n = ::read(setup_process_.report.get(), text.data(), text.size());
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  int status = -1;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const Report report = parse_report(std::string_view(text).substr(at, end - at));
    if (report.what == Report::What::exited) status = report.value;
    at = end + 1;
  }
  ::waitpid(setup_process_.supervisor.pid, nullptr, WNOHANG);
  Watcher::end(setup_watcher_);
  setup_process_ = {};
  if (vanish_later_) return vanish();
  if (state_ != State::setting_up) return;
  if (status != 0) {
    const auto lines = last_lines(log_path() + ".setup", 2);
    return fail("engine_setup",
                fmt::format("{}: {} ended with status {}: {}", plan_.setup[setup_step_].what,
                            plan_.setup[setup_step_].command.front(), status, fmt::join(lines, " | ")));
  }
  ++setup_step_;
  next_setup_step();
}

// ---- Ready and after
// --------------------------------------------------------------------------------------------------

void LocalReplica::became_ready() {
  deadline_.cancel();
  state_ = State::ready;
  failures_ = 0;
  ready_since_ = context_.loop.now();
  emit(Phase::ready);
  if (state_ == State::ready) context_.loop.arm_after(timer_, context_.options.watch_every);
}

// A process says itself when it ends. The watch finds the rest: a server of somebody else that is gone, an
// engine that lives but no longer listens. Slow answers are no fault: engines are busy people.
void LocalReplica::watch(const CallResult& result) {
  call_.reset();
  const bool own = !plan_.argv.empty();
  const bool bad = own ? result.what == CallResult::What::refused : !wanted(plan_.probe, result);
  failures_ = bad ? failures_ + 1 : 0;
  if (failures_ >= context_.options.watch_failures) {
    return fail("engine_unreachable", fmt::format("{}:{} {}, {} times in a row", plan_.endpoint.host,
                                                  plan_.endpoint.port, describe(result), failures_));
  }
  context_.loop.arm_after(timer_, context_.options.watch_every);
}

void LocalReplica::on_reports() {
  char block[1024];
  for (;;) {
    const ssize_t n = ::read(supervised_.report.get(), block, sizeof block);
    if (n <= 0) break;
    report_text_.append(block, static_cast<std::size_t>(n));
  }
  for (std::size_t end; (end = report_text_.find('\n')) != std::string::npos;) {
    const std::string line = report_text_.substr(0, end);
    report_text_.erase(0, end + 1);
    on_report(parse_report(line));
  }
}

void LocalReplica::on_report(const Report& report) {
  using What = Report::What;
  switch (report.what) {
    case What::guard:
      guard_ = report.process;
      return;
    case What::started:
      engine_ = report.process;
      write_run_record(run_record_path(context_.dir("run"), id_),
                       {model_.name, supervised_.supervisor, engine_, guard_});
      return;
    case What::cannot_exec:
      exec_error_ = report.value;
      return;
    case What::exited:
    case What::signaled: {
      engine_ended_ = true;
      if (exec_error_ != 0) {
        const bool absent = exec_error_ == ENOENT;
        return fail("engine_missing",
                    fmt::format("cannot run {}: {}", plan_.argv.front(), std::strerror(exec_error_)),
                    absent ? "install it, or name its path in spec.command" : "", false);
      }
      const std::string how = report.what == What::exited
                                  ? fmt::format("the engine ended with status {}", report.value)
                                  : fmt::format("the engine was ended by signal {} ({})", report.value,
                                                ::strsignal(report.value));
      const std::string words = last_words();
      return fail("engine_exited", words.empty() ? how : fmt::format("{}; its last words: {}", how, words),
                  "tidegate models logs " + model_.name);
    }
    case What::gone:
    case What::unknown:
      return;
  }
}

void LocalReplica::on_supervisor_gone() {
  on_reports();
  if (::waitpid(supervised_.supervisor.pid, nullptr, WNOHANG) == 0)
    return;  // not quite yet; cannot happen with a pidfd
  if (!engine_ended_ &&
      (state_ == State::starting || state_ == State::setting_up || state_ == State::ready)) {
    fail("engine_exited", "the engine's supervisor was killed, and the engine with it");
  }
  Watcher::end(report_watcher_);
  Watcher::end(pidfd_watcher_);
  deadline_.cancel();
  remove_run_record(run_record_path(context_.dir("run"), id_));
  const bool said_stop = state_ == State::stopping;
  supervised_ = {};
  if (said_stop) emit(Phase::stopped);
  vanish();
}

// ---- End
// --------------------------------------------------------------------------------------------------------------

void LocalReplica::fail(const char* code, std::string text, std::string hint, bool will_retry) {
  if (state_ == State::stopping || state_ == State::failed) return;
  state_ = State::failed;
  call_.reset();
  timer_.cancel();
  deadline_.cancel();
  setup_step_ = 0;
  const bool watched = model_.engine == spec::EngineKind::external;
  emit(Phase::failed, {code, std::move(text), std::move(hint)}, will_retry);
  if (state_ != State::failed) return;  // stopped from inside the event
  if (has_process()) {
    end_process();
  } else if (watched && will_retry) {
    failures_ = 0;
    context_.loop.arm_after(timer_, context_.options.watch_every);
  } else {
    vanish();
  }
}

void LocalReplica::stop() {
  if (state_ == State::stopping) return;
  const bool was_failed = state_ == State::failed;
  state_ = State::stopping;
  call_.reset();
  timer_.cancel();
  if (!was_failed) deadline_.cancel();  // else it watches over the end already
  if (weights_handle_ != 0) context_.weights.forget(std::exchange(weights_handle_, 0));
  if (!has_process()) {
    emit(Phase::stopped);
    return vanish();
  }
  if (!was_failed) end_process();
}

void LocalReplica::end_process() {
  setup_process_.life.reset();
  supervised_.life.reset();
  context_.loop.arm_after(deadline_, context_.options.grace + 5 * kSecond);
}

void LocalReplica::vanish() {
  timer_.cancel();
  deadline_.cancel();
  if (setup_process_.supervisor.pid != 0) {
    vanish_later_ = true;  // it is still to be reaped
    return;
  }
  context_.loop.defer([context = &context_, id = id_, alive = std::weak_ptr<bool>(context_.alive)] {
    if (!alive.expired()) context->replicas.erase(id);
  });
}

}  // namespace tg::runtime
