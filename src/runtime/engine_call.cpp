#include "runtime/engine_call.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "net/loop.hpp"

namespace tg::runtime {

class RunningCall final : public http::ClientEvents, public std::enable_shared_from_this<RunningCall> {
 public:
  RunningCall(http::Upstreams& upstreams, std::function<void(const CallResult&)> done)
      : upstreams_(upstreams), done_(std::move(done)), timer_([this](Nanos) { timed_out(); }) {}
  ~RunningCall() {
    if (connection_ != nullptr) connection_->cancel();
  }
  RunningCall(const RunningCall&) = delete;
  RunningCall& operator=(const RunningCall&) = delete;

  void start(const replica::Endpoint& endpoint, bool with_key, const EngineCall& call, Nanos timeout) {
    auto target = std::make_shared<http::Target>();
    target->host = endpoint.host;
    target->port = endpoint.port;
    target->tls = endpoint.tls;
    target->max_idle = 0;  // an engine may spend a thread on each connection
    const std::string host =
        endpoint.host.find(':') == std::string::npos ? endpoint.host : "[" + endpoint.host + "]";
    request_ =
        fmt::format("{} {} HTTP/1.1\r\nhost: {}:{}\r\naccept-encoding: identity\r\nconnection: close\r\n",
                    call.method, call.path, host, endpoint.port);
    if (with_key && !endpoint.authorization.empty())
      request_ += "authorization: " + endpoint.authorization + "\r\n";
    if (!call.body.empty() || call.method == "POST") {
      request_ += fmt::format("content-type: application/json\r\ncontent-length: {}\r\n", call.body.size());
    }
    request_ += "\r\n" + call.body;
    upstreams_.loop().arm_after(timer_, timeout);
    connection_ = upstreams_.acquire(target, *this, true);
    part_ = request_;
    connection_->send(&part_, 1);
  }

 private:
  void on_head(const http::ResponseHead& head) override { result_.status = head.status; }

  void on_data(const http::BodyPart& part) override {
    for (std::size_t i = 0; i < part.count; ++i) {
      constexpr std::size_t kKeep = 4096;
      if (result_.body.size() < kKeep)
        result_.body.append(part.payload[i].substr(0, kKeep - result_.body.size()));
    }
    if (part.last) finish(CallResult::What::answered, {});
  }

  void on_failure(http::Failure failure, const http::FailureDetail& detail) override {
    using http::Failure;
    const bool refused = failure == Failure::resolve || failure == Failure::connect ||
                         failure == Failure::connect_timeout || failure == Failure::tls ||
                         failure == Failure::tls_timeout;
    finish(refused ? CallResult::What::refused : CallResult::What::failed, detail.text);
  }

  void timed_out() {
    if (connection_ != nullptr) std::exchange(connection_, nullptr)->cancel();
    finish(CallResult::What::timed_out, {});
  }

  void finish(CallResult::What what, std::string_view detail) {
    connection_ = nullptr;
    timer_.cancel();
    result_.what = what;
    result_.detail = detail;
    // From the loop, so that `done` may drop this object and start the next call. Only if the handle still
    // exists then.
    upstreams_.loop().defer([self = weak_from_this()] {
      if (const auto alive = self.lock()) std::exchange(alive->done_, nullptr)(alive->result_);
    });
  }

  http::Upstreams& upstreams_;
  std::function<void(const CallResult&)> done_;
  http::ClientConnection* connection_ = nullptr;
  std::string request_;
  std::string_view part_;
  CallResult result_;
  net::CallbackTimer timer_;
};

bool wanted(const EngineCall& call, const CallResult& result) {
  if (result.what != CallResult::What::answered) return false;
  if (call.status == 0) return result.status < 500 && result.status != 401 && result.status != 403;
  return result.status == call.status;
}

std::string describe(const CallResult& result) {
  switch (result.what) {
    case CallResult::What::answered:
      return fmt::format("answers with status {}", result.status);
    case CallResult::What::refused:
      return "cannot be reached: " + result.detail;
    case CallResult::What::failed:
      return "gives no whole answer: " + result.detail;
    case CallResult::What::timed_out:
      return "does not answer in time";
  }
  return {};
}

std::shared_ptr<RunningCall> call_engine(http::Upstreams& upstreams, const replica::Endpoint& endpoint,
                                         bool with_key, const EngineCall& call, Nanos timeout,
                                         std::function<void(const CallResult&)> done) {
  auto running = std::make_shared<RunningCall>(upstreams, std::move(done));
  running->start(endpoint, with_key, call, timeout);
  return running;
}

}  // namespace tg::runtime
