#include "app/control.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "app/words.hpp"

namespace tg::app {

namespace {
constexpr Nanos kDrain = 30 * kSecond;
constexpr Nanos kStopCheck = 20 * kMillisecond;

runtime::LocalOptions local_options(const UpOptions& up, const std::string& dir, std::size_t workers) {
  runtime::LocalOptions options;
  options.data_dir = dir;
  options.workers = workers;
  options.weights.disk_budget = up.cache_limit;
  options.weights.terminal = up.draw_progress ? 2 : -1;
  return options;
}
}  // namespace

Control::Control(const Parts& parts, const UpOptions& options, DocumentSource source,
                 spec::Documents documents, std::size_t workers)
    : parts_(parts),
      options_(options),
      source_(std::move(source)),
      documents_(std::move(documents)),
      worker_count_(workers),
      backend_(parts.loop, parts.resolver, parts.log, local_options(options, parts.dir, workers)),
      snapshots_(parts.metrics, limits_),
      tick_timer_([this](Nanos) { tick(); }),
      drain_timer_([this](Nanos) { stop_when_done(); }),
      control_api_(parts.loop, *this, parts.metrics, true),
      console_api_(parts.loop, *this, parts.metrics, false),
      watch_(parts.loop, [this] { reload(); }) {
  const char* help = "loads of the documents since the start, by outcome";
  reloads_good_ = parts_.metrics.counter("tidegate_document_loads_total", help, {{"outcome", "accepted"}});
  reloads_bad_ = parts_.metrics.counter("tidegate_document_loads_total", help, {{"outcome", "refused"}});
  documents_valid_ =
      parts_.metrics.gauge("tidegate_documents_valid", "1 if the last load of the documents was accepted");
  replica::Controller::Options controller;
  controller.workers = workers;
  controller.state_dir = parts_.dir + "/state";
  controller.metric_shard = workers;
  controller_ = std::make_unique<replica::Controller>(
      backend_, [this](std::size_t worker, const replica::Grant& grant) { workers_->grant(worker, grant); },
      parts_.metrics, parts_.log, controller);
  status_.version = program_version();
  status_.pid = ::getpid();
  status_.started_utc_ns = utc_now_ns();
  status_.data = parts_.dir;
  status_.workers = workers;
  status_.files = source_.paths();
  publish();
}

Control::~Control() {
  workers_.reset();  // joins: no message to this object can come any more
}

// Makes `documents_` the truth for controller and workers.
void Control::publish() {
  controller_->apply(documents_, parts_.loop.now());
  snapshot_ =
      snapshots_.build(documents_, [this](const std::string& model) { return controller_->table(model); });
  if (workers_) workers_->set_snapshot(snapshot_);
  for (const std::string& reason : snapshot_->not_ready)
    parts_.log.warn("backend is not ready", {field("reason", reason)});
  for (const std::string& platform : documents_.platforms) {
    parts_.log.info(
        "a Platform document is for `tidegate render`; its Models, Providers, Routes and Tenants are served",
        {field("platform", platform)});
  }
  ++status_.generation;
  status_.models = documents_.models.size();
  status_.providers = documents_.providers.size();
  status_.routes = documents_.routes.size();
  status_.tenants = documents_.tenants.size();
  status_.reload = {true, utc_now_ns(), {}};
  reloads_good_.add(worker_count_);
  documents_valid_.set(worker_count_, 1);
  tick();
}

void Control::reload() {
  auto loaded = source_.load();
  watch_.watch(source_.watched());                            // a link or a folder may be another one now
  if (!source_.changed() && signal_reload_ == false) return;  // a file beside the documents was touched
  signal_reload_ = false;
  if (!loaded.ok()) {
    status_.reload = {false, utc_now_ns(), loaded.texts(spec::Severity::error)};
    reloads_bad_.add(worker_count_);
    documents_valid_.set(worker_count_, 0);
    for (const std::string& text : status_.reload.findings)
      parts_.log.error("documents refused, the earlier version still serves", {field("finding", text)});
    return;
  }
  for (const std::string& text : loaded.texts(spec::Severity::warning))
    parts_.log.warn("served with a warning", {field("finding", text)});
  documents_ = std::move(loaded.documents);
  publish();
  parts_.log.info("documents loaded", {field("generation", status_.generation),
                                       field("models", status_.models), field("routes", status_.routes)});
}

gateway::ControlPort Control::port() {
  net::Loop& loop = parts_.loop;
  return {
      .wait =
          [this, &loop](const replica::Wait& wait) {
            loop.post([this, wait] {
              controller_->on_wait(wait, parts_.loop.now());
              tick();
            });
          },
      .gone =
          [this, &loop](const replica::GoneWaiter& gone) {
            loop.post([this, gone] { controller_->on_gone(gone, parts_.loop.now()); });
          },
      .slot_free =
          [this, &loop](const std::shared_ptr<replica::Table>& table) {
            loop.post([this, table] { controller_->on_slot_free(table, parts_.loop.now()); });
          },
      .suspect =
          [this, &loop](const std::shared_ptr<replica::Table>& table, int replica) {
            loop.post([this, table, replica] {
              controller_->on_replica_suspect(table, replica, parts_.loop.now());
            });
          },
  };
}

void Control::tick() {
  const Nanos now = parts_.loop.now();
  const Nanos next = controller_->tick(now);
  parts_.loop.timers().arm(tick_timer_, std::max(next, now + kMillisecond));
}

void Control::serve(std::vector<Fd> listeners, const std::string& listen, const http::ServerOptions& server,
                    std::size_t max_requests) {
  status_.listen = listen;
  workers_ = std::make_unique<Workers>(Workers::Shared{parts_.keys.registry(), parts_.ledger, parts_.metrics,
                                                       parts_.resolver, parts_.log, port()},
                                       server, max_requests, std::move(listeners), snapshot_);
  workers_->set_ready(true);
  control_api_.set_ready(true);
  console_api_.set_ready(true);
  watch_.watch(source_.watched());
}

void Control::serve_admin(Fd control_socket, Fd console, const std::string& console_address) {
  status_.console = console_address;
  control_api_.listen(std::move(control_socket));
  if (!loopback_host(console_address)) console_api_.open_metrics();
  console_api_.listen(std::move(console));
}

void Control::on_signal(int signal) {
  if (signal == SIGHUP) {
    signal_reload_ = true;  // credentials may have changed though the documents did not
    reload();
    return;
  }
  if (draining_) {
    parts_.log.warn("second signal: leaving at once");
    parts_.loop.stop();
    return;
  }
  draining_ = true;
  status_.draining = true;
  parts_.log.info("draining", {field("seconds", kDrain / kSecond), field("again", "leaves at once")});
  workers_->set_ready(false);
  control_api_.set_ready(false);
  console_api_.set_ready(false);
  drain_until_ = parts_.loop.now() + kDrain;
  workers_->drain(parts_.loop, [this] { drained_workers(); });
  parts_.loop.timers().arm(drain_timer_, drain_until_);
}

void Control::drained_workers() {
  drain_until_ = 0;
  stop_when_done();
}

// After the workers (or after the drain time): engines are ended, then the loop stops.
void Control::stop_when_done() {
  const Nanos now = parts_.loop.now();
  if (drain_until_ != 0 && now < drain_until_) return;
  if (drain_until_ != 0) {
    parts_.log.warn("drain time is over: open requests are cut");
    drain_until_ = 0;
  }
  if (controller_->shut_down(now) && backend_.alive() == 0) {
    parts_.loop.stop();
    return;
  }
  parts_.loop.arm_after(drain_timer_, kStopCheck);
}

Result<admin::Status> Control::status() {
  status_.provider_status.clear();
  for (const auto& [name, provider] : documents_.providers) {
    admin::ProviderStatus p;
    p.name = name;
    p.url = provider.url;
    for (const auto& model : provider.models) p.models.push_back(model.name);
    const std::string prefix = "provider/" + name + ": ";
    for (const std::string& reason : snapshot_->not_ready) {
      if (!reason.starts_with(prefix)) continue;
      p.ready = false;
      p.reason = {"credential_missing", reason.substr(prefix.size()),
                  "set it and send SIGHUP, or start tidegate again"};
    }
    status_.provider_status.push_back(std::move(p));
  }
  if (workers_ != nullptr) {
    status_.connections = static_cast<std::int64_t>(workers_->connections());
    status_.in_flight = static_cast<std::int64_t>(workers_->open_requests());
  }
  return status_;
}

Result<std::string> Control::models_json() { return controller_->models_json(parts_.loop.now()); }

Result<std::string> Control::explain_json(const std::string& model) {
  return controller_->explain_json(model, parts_.loop.now());
}

Result<std::vector<admin::LogFilePath>> Control::logs(const std::string& model) {
  std::vector<admin::LogFilePath> files;
  std::error_code problem;
  const std::string prefix = model + "-";
  for (const auto& entry : std::filesystem::directory_iterator(parts_.dir + "/logs", problem)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix) || !name.ends_with(".log")) continue;
    const std::string number = name.substr(prefix.size(), name.size() - prefix.size() - 4);
    if (number.empty() || number.find_first_not_of("0123456789") != std::string::npos || number.size() > 6)
      continue;
    files.push_back({std::stoi(number), entry.path().string()});
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.replica < b.replica; });
  return files;
}

// Called on a thread of the admin server's own for /api/v1/usage: touches the ledger and constants only.
Result<admin::LedgerPlace> Control::ledger() {
  if (auto flushed = parts_.ledger.flush(); !flushed) return std::unexpected(std::move(flushed.error()));
  return admin::LedgerPlace{parts_.dir, parts_.ledger.run()};
}

std::vector<std::string> Control::tenants() {
  std::vector<std::string> names;
  names.reserve(documents_.tenants.size());
  for (const auto& [name, tenant] : documents_.tenants) names.push_back(name);
  return names;
}

std::vector<std::string> Control::routes() {
  std::vector<std::string> names;
  names.reserve(documents_.routes.size());
  for (const auto& [name, route] : documents_.routes) names.push_back(name);
  return names;
}

}  // namespace tg::app
