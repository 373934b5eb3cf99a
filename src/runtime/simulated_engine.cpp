#include "runtime/simulated_engine.hpp"

#include <fmt/format.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <unordered_map>
#include <utility>

#include "base/log.hpp"
#include "http/server.hpp"
#include "net/loop.hpp"
#include "net/socket.hpp"
#include "runtime/simulated_job.hpp"

namespace tg::runtime {
namespace {

using Fault = spec::SimulatedFault;

std::string json_headers() { return "content-type: application/json\r\n"; }

class Engine;

// One request: waits for a slot, then answers at the engine's pace.
class Work final : public http::Exchange, private net::Timer {
 public:
  Work(Engine& engine, http::ServerStream& stream, SimulatedKind kind)
      : engine_(engine), stream_(stream), kind_(kind) {}

  void on_body(net::Buffer body) override;
  void on_gone() override;
  void on_writable() override { proceed(); }
  void begin();  // has its slot

 private:
  void on_timer(Nanos) override { proceed(); }
  void proceed();
  bool fault_now(Fault::At at);  // true: the work is over or stalled for ever
  void send(std::string_view event);
  void refuse(int status, std::string_view code, std::string_view message);
  std::size_t due() const;
  Nanos due_at(std::size_t token) const;
  void end();

  Engine& engine_;
  http::ServerStream& stream_;
  SimulatedKind kind_;
  SimulatedJob job_;
  Fault fault_;
  bool faulty_ = false;
  bool has_slot_ = false;
  bool over_ = false;
  Nanos prefilled_at_ = 0;
  std::size_t produced_ = 0;
};

class Engine final : public http::Service {
 public:
  Engine(net::Loop& loop, SimulatedSettings settings)
      : loop_(loop),
        settings_(std::move(settings)),
        ready_timer_([this](Nanos) { loaded(); }),
        server_(loop, *this, options()) {
    if (settings_.engine.context <= 0) settings_.engine.context = 8192;
  }

  Result<std::uint16_t> listen() {
    const auto address = net::numeric_address(settings_.host, settings_.port);
    if (!address) return std::unexpected(address.error());
    auto listener = net::listen_tcp(*address, false);
    if (!listener) return std::unexpected(std::move(listener.error()));
    const auto bound = net::local_address(listener->get());
    if (!bound) return std::unexpected(bound.error());
    server_.listen(std::move(*listener));
    return bound->port();
  }
  void begin_loading() {
    if (settings_.engine.load > 0) {
      loop_.arm_after(ready_timer_, settings_.engine.load);
    } else {
      loaded();
    }
  }

  http::Exchange* on_request(http::ServerStream& stream, const http::RequestHead& head) override;
  void on_bad_request(int status, std::string_view reason, http::HeaderText& headers,
                      std::string& body) override {
    headers.add("content-type", "application/json");
    body = simulated_error(status, "bad_request", reason);
  }

  // The fault of the request that has just arrived, if the document has one for it.
  const Fault* next_fault() {
    ++requests_;
    for (const Fault& f : settings_.engine.fail) {
      if (f.at != Fault::At::load && f.request == requests_) return &f;
    }
    return nullptr;
  }
  void queue(Work& work) {
    waiting_.push_back(&work);
    give_slots();
  }
  void leave(Work& work, bool had_slot) {
    std::erase(waiting_, &work);
    if (had_slot) --busy_;
    loop_.defer([this, w = &work, alive = std::weak_ptr<bool>(alive_)] {
      if (alive.expired()) return;
      works_.erase(w);
      give_slots();
    });
  }
  net::Loop& loop() { return loop_; }
  const SimulatedSettings& settings() const { return settings_; }

 private:
  static http::ServerOptions options() {
    http::ServerOptions o;
    o.max_body = 64 << 20;
    return o;
  }
  void give_slots() {
    while (busy_ < settings_.slots && !waiting_.empty()) {
      Work* work = waiting_.front();
      waiting_.pop_front();
      ++busy_;
      work->begin();
    }
  }
  void loaded() {
    for (const Fault& f : settings_.engine.fail) {
      if (f.at != Fault::At::load || (f.request != 0 && f.request != settings_.start)) continue;
      if (f.what == Fault::Do::exit) {
        std::fputs("simulated fault: exit while loading\n", stderr);
        ::_exit(1);
      }
      load_error_ = f.what == Fault::Do::error ? f.status : 503;
      return;  // never ready
    }
    ready_ = true;
  }

  net::Loop& loop_;
  SimulatedSettings settings_;
  net::CallbackTimer ready_timer_;
  bool ready_ = false;
  int load_error_ = 503;
  int busy_ = 0;
  std::int64_t requests_ = 0;
  std::deque<Work*> waiting_;
  std::unordered_map<Work*, std::unique_ptr<Work>> works_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  http::Server server_;  // last: it ends the works when it goes
};

http::Exchange* Engine::on_request(http::ServerStream& stream, const http::RequestHead& head) {
  const auto refuse = [&stream](int status, std::string_view code, std::string_view message) {
    stream.respond(status, json_headers(), simulated_error(status, code, message));
    return nullptr;
  };
  const bool get = head.method == "GET" || head.method == "HEAD";
  if (head.path == "/health") {
    if (!ready_) return refuse(load_error_, "loading", "the model is loading");
    stream.respond(200, json_headers(), R"({"status":"ok"})");
    return nullptr;
  }
  if (!settings_.key.empty() && head.find(http::FieldId::authorization) != "Bearer " + settings_.key) {
    return refuse(401, "invalid_api_key", "the key is wrong or missing");
  }
  if (!ready_) return refuse(load_error_, "loading", "the model is loading");
  if (head.path == "/v1/models") {
    if (!get) return refuse(405, "method_not_allowed", "use GET");
    std::string name;
    append_json_string(name, settings_.model);
    stream.respond(
        200, json_headers(),
        fmt::format(
            R"({{"object":"list","data":[{{"id":{},"object":"model","created":0,"owned_by":"tidegate"}}]}})",
            name));
    return nullptr;
  }
  SimulatedKind kind{};
  if (head.path == "/v1/chat/completions") {
    kind = SimulatedKind::chat;
  } else if (head.path == "/v1/completions") {
    kind = SimulatedKind::completion;
  } else if (head.path == "/v1/embeddings") {
    kind = SimulatedKind::embedding;
  } else {
    return refuse(404, "not_found", "there is no such path here");
  }
  if (head.method != "POST") return refuse(405, "method_not_allowed", "use POST");
  auto work = std::make_unique<Work>(*this, stream, kind);
  Work* raw = work.get();
  works_.emplace(raw, std::move(work));
  return raw;
}

void Work::on_body(net::Buffer body) {
  if (const Fault* f = engine_.next_fault()) {
    fault_ = *f;
    faulty_ = true;
  }
  SimulatedRefusal refusal;
  if (!read_simulated_job(kind_, body.view(), engine_.settings().engine.context, job_, refusal)) {
    return refuse(refusal.status, refusal.code, refusal.message);
  }
  engine_.queue(*this);
}

void Work::on_gone() { end(); }

void Work::begin() {
  has_slot_ = true;
  const double rate = engine_.settings().engine.prefill;
  const double seconds = rate > 0 ? static_cast<double>(job_.prompt_tokens) / rate : 0;
  prefilled_at_ = engine_.loop().now() + static_cast<Nanos>(seconds * 1e9);
  proceed();
}

Nanos Work::due_at(std::size_t token) const {
  const double rate = engine_.settings().engine.decode;
  return prefilled_at_ + (rate > 0 ? static_cast<Nanos>(static_cast<double>(token) * 1e9 / rate) : 0);
}

// How many tokens should have been produced by now.
std::size_t Work::due() const {
  const Nanos now = engine_.loop().now();
  const double rate = engine_.settings().engine.decode;
  if (rate <= 0) return job_.tokens.size();
  const double n = static_cast<double>(now - prefilled_at_) * rate / 1e9;
  return n >= static_cast<double>(job_.tokens.size()) ? job_.tokens.size() : static_cast<std::size_t>(n);
}

void Work::proceed() {
  if (over_ || !has_slot_) return;
  if (engine_.loop().now() < prefilled_at_) return engine_.loop().timers().arm(*this, prefilled_at_);
  if (stream_.blocked()) return;  // on_writable comes
  if (produced_ == 0 && !stream_.started()) {
    if (fault_now(Fault::At::first_byte)) return;
    if (job_.stream) {
      stream_.start(200, "content-type: text/event-stream\r\ncache-control: no-cache\r\n",
                    http::Framing::chunked);
      for (const std::string& event : job_.opening) send(event);
      stream_.flush();
    }
    if (fault_now(Fault::At::event)) return;  // event 0
  }
  const std::size_t until = due();
  std::string event;
  while (produced_ < until) {
    if (job_.stream) {
      if (stream_.blocked()) return;
      event = job_.before;
      append_json_string(event, job_.tokens[produced_]);
      event += job_.after;
      send(event);
    }
    ++produced_;
    if (fault_now(Fault::At::event)) return;
  }
  if (produced_ < job_.tokens.size()) return engine_.loop().timers().arm(*this, due_at(produced_ + 1));
  if (fault_now(Fault::At::end)) return;
  if (job_.stream) {
    for (const std::string& last : job_.closing) send(last);
    stream_.write("data: [DONE]\n\n");
    stream_.finish();
  } else {
    stream_.respond(200, json_headers(), job_.body);
  }
  end();
}

bool Work::fault_now(Fault::At at) {
  if (!faulty_ || fault_.at != at) return false;
  if (at == Fault::At::event && static_cast<std::int64_t>(produced_) != fault_.event) return false;
  switch (fault_.what) {
    case Fault::Do::exit:
      std::fputs("simulated fault: exit\n", stderr);
      ::_exit(1);
    case Fault::Do::stall:
      over_ = true;  // keeps its slot until the client leaves
      return true;
    case Fault::Do::error:
      refuse(fault_.status, "simulated_fault", "a fault that the document asks for");
      return true;
  }
  return false;
}

void Work::send(std::string_view event) {
  const std::string_view parts[] = {"data: ", event, "\n\n"};
  stream_.write(parts, 3);
}

void Work::refuse(int status, std::string_view code, std::string_view message) {
  const std::string text = simulated_error(status, code, message);
  if (stream_.started()) {
    send(text);
    stream_.finish();
  } else {
    stream_.respond(status, json_headers(), text);
  }
  end();
}

void Work::end() {
  over_ = true;
  cancel();
  engine_.leave(*this, std::exchange(has_slot_, false));
}

class SignalEnd final : public net::Handler {
 public:
  SignalEnd(net::Loop& loop, int fd) : loop_(loop), fd_(fd) { loop_.add(fd, *this, EPOLLIN); }
  void on_events(std::uint32_t) override {
    signalfd_siginfo info{};
    [[maybe_unused]] const ssize_t n = ::read(fd_, &info, sizeof info);
    loop_.stop();
  }

 private:
  net::Loop& loop_;
  int fd_;
};

}  // namespace

int simulate_main(int argc, char** argv) {
  auto settings = parse_simulated_words(std::vector<std::string>(argv + 1, argv + argc));
  if (!settings) {
    fmt::print(stderr, "{}\n", settings.error().message);
    return 2;
  }
  if (const char* key = std::getenv(std::string(kSimulatedKeyVariable).c_str()); key != nullptr)
    settings->key = key;
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGTERM);
  sigaddset(&mask, SIGINT);
  ::sigprocmask(SIG_BLOCK, &mask, nullptr);
  const Fd signals(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));

  net::Loop loop;
  SignalEnd end(loop, signals.get());
  Engine engine(loop, *settings);
  const auto port = engine.listen();
  if (!port) {
    fmt::print(stderr, "cannot listen: {}\n", port.error().message);
    return 1;
  }
  fmt::print("listening on {}:{}\n", settings->host, *port);
  std::fflush(stdout);
  engine.begin_loading();
  loop.run();
  return 0;
}

}  // namespace tg::runtime
