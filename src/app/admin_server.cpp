#include "app/admin_server.hpp"

#include <fmt/format.h>

#include <thread>

namespace tg::app {

bool loopback_host(std::string_view host) {
  const bool bracketed = host.starts_with('[');
  const std::size_t end = bracketed ? host.find(']') : host.rfind(':');
  const std::string_view name =
      bracketed ? host.substr(1, end == std::string_view::npos ? end : end - 1) : host.substr(0, end);
  if (name == "localhost") return true;
  const auto address = net::numeric_address(name, 0);
  return address && (name == "::1" || address->str().starts_with("127."));
}

namespace {

http::ServerOptions admin_options() {
  http::ServerOptions options;
  options.max_body = 1 << 20;
  options.max_connections = 256;
  return options;
}

}  // namespace

// One request of the API: waits for its body, then answers at once; usage is read on a thread of its own, for
// it may read many files while the control loop has replicas to start.
class AdminServer::Call final : public http::Exchange {
 public:
  Call(AdminServer& owner, http::ServerStream& stream, const http::RequestHead& head)
      : owner_(owner), stream_(&stream), method_(head.method), target_(head.target) {}
  ~Call() {
    if (thread_.joinable()) thread_.join();
  }

  void on_body(net::Buffer body) override {
    request_ = admin::make_request(method_, target_, std::string(body.view()), owner_.trusted_);
    if (request_.path != "/api/v1/usage") {
      response_ = admin::handle(request_, owner_.sources_);
      answer();
      return;
    }
    owner_.on_threads_.insert(this);
    thread_ = std::thread([this] {
      response_ = admin::handle(request_, owner_.sources_);
      owner_.loop_.post([this] {
        owner_.on_threads_.erase(this);
        answer();
      });
    });
  }
  void on_gone() override {
    stream_ = nullptr;
    if (!thread_.joinable()) delete this;
  }

 private:
  void answer() {
    if (stream_ != nullptr) {
      std::string headers =
          fmt::format("content-type: {}\r\ncache-control: no-store\r\n", response_.content_type);
      if (!response_.allow.empty()) headers += fmt::format("allow: {}\r\n", response_.allow);
      stream_->respond(response_.status, headers, response_.body);
    }
    delete this;
  }

  AdminServer& owner_;
  http::ServerStream* stream_;  // null once the client left
  std::string method_;
  std::string target_;
  admin::Request request_;
  admin::Response response_;
  std::thread thread_;
};

AdminServer::AdminServer(net::Loop& loop, admin::Sources& sources, const Metrics& metrics, bool trusted)
    : loop_(loop),
      sources_(sources),
      metrics_(metrics),
      trusted_(trusted),
      server_(loop, *this, admin_options()) {}

AdminServer::~AdminServer() {
  server_.close_all();
  // Their last step was posted to a loop that runs no more.
  while (!on_threads_.empty()) {
    Call* call = *on_threads_.begin();
    on_threads_.erase(on_threads_.begin());
    delete call;
  }
}

http::Exchange* AdminServer::on_request(http::ServerStream& stream, const http::RequestHead& head) {
  const bool get = head.method == "GET" || head.method == "HEAD";
  const bool facts = get && (head.path == "/metrics" || head.path == "/healthz" || head.path == "/readyz");
  if (!trusted_ && !(open_metrics_ && facts) && !loopback_host(head.find(http::FieldId::host))) {
    stream.respond(403, "content-type: application/json\r\n",
                   admin::error_json({"host_not_allowed", "the console answers to loopback hosts only",
                                      "use http://127.0.0.1"}));
    return nullptr;
  }
  if (get && head.path == "/metrics") {
    stream.respond(200, "content-type: text/plain; version=0.0.4; charset=utf-8\r\n", metrics_.render());
    return nullptr;
  }
  if (get && (head.path == "/healthz" || head.path == "/readyz")) {
    const bool good = head.path == "/healthz" || ready_;
    stream.respond(good ? 200 : 503, "content-type: text/plain\r\n", good ? "ok\n" : "starting\n");
    return nullptr;
  }
  return new Call(*this, stream, head);  // deletes itself with its answer
}

void AdminServer::on_bad_request(int status, std::string_view reason, http::HeaderText& headers,
                                 std::string& body) {
  (void)status;
  headers.add("content-type", "application/json");
  body = admin::error_json({"bad_request", std::string(reason), ""});
}

}  // namespace tg::app
