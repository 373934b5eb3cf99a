#include "http/server.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/time.h>

#include <future>
#include <thread>

#include "net/socket.hpp"

namespace tg::http {
namespace {

constexpr Nanos kShort = 30 * kMillisecond;
constexpr Nanos kLong = kHour;

// Answers a body with itself, and /wait never.
class EchoService final : public Service, public Exchange {
 public:
  Exchange* on_request(ServerStream& stream, const RequestHead& head) override {
    stream_ = &stream;
    waits_ = head.path == "/wait";
    return this;
  }
  void on_bad_request(int, std::string_view reason, HeaderText& headers, std::string& body) override {
    headers.add("content-type", "text/plain");
    body = reason;
  }
  void on_body(net::Buffer body) override {
    if (!waits_) stream_->respond(200, "", body.view());
  }
  void on_gone() override {}

 private:
  ServerStream* stream_ = nullptr;
  bool waits_ = false;
};

// A server on a thread of its own; every bound that a test does not set is an hour.
class RunningServer {
 public:
  static ServerOptions patient() {
    return {.head_timeout = kLong, .body_timeout = kLong, .keep_alive = kLong, .write_stall = kLong};
  }
  explicit RunningServer(const ServerOptions& options) : server_(loop_, service_, options) {
    auto listener = net::listen_tcp(*net::parse_address("127.0.0.1:0"), false);
    address_ = *net::local_address(listener->get());
    server_.listen(std::move(*listener));
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~RunningServer() {
    loop_.stop();
    thread_.join();
  }
  void on_loop(const std::function<void()>& task) {
    std::promise<void> done;
    loop_.post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }
  // Every event that the kernel knew of before this call was handled when it returns.
  void settle() {
    for (int i = 0; i < 3; ++i) on_loop([] {});
  }
  const net::Address& address() const { return address_; }
  Server& server() { return server_; }

 private:
  net::Loop loop_;
  EchoService service_;
  Server server_;
  net::Address address_;
  std::thread thread_;
};

// A blocking client whose waits end after ten seconds.
class Client {
 public:
  Client() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval bound{10, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound);
  }
  explicit Client(const RunningServer& server) : Client() { connect(server); }
  void connect(const RunningServer& server) {
    EXPECT_EQ(::connect(fd_.get(), server.address().get(), server.address().length), 0);
  }
  void send(std::string_view text) const {
    EXPECT_EQ(::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  // Up to the end of the connection, or to the end of `until`.
  std::string read(std::string_view until = "\n\n\n") const {
    std::string text;
    while (!text.ends_with(until)) {
      char block[4096];
      const ssize_t n = ::recv(fd_.get(), block, sizeof block, 0);
      if (n < 0) return text + "<no end>";
      if (n == 0) break;
      text.append(block, static_cast<std::size_t>(n));
    }
    return text;
  }

 private:
  Fd fd_;
};

TEST(Server, AHeadMustBeCompleteInTime) {
  auto options = RunningServer::patient();
  options.head_timeout = kShort;
  const RunningServer server(options);
  const Client client(server);
  client.send("POST / HT");
  const std::string answer = client.read();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 408 ")) << answer;
  EXPECT_TRUE(answer.ends_with("the request head did not arrive in time")) << answer;
}

TEST(Server, ABodyMustNotStall) {
  auto options = RunningServer::patient();
  options.body_timeout = kShort;
  for (const char* framing : {"content-length: 10\r\n\r\nabc", "transfer-encoding: chunked\r\n\r\n5\r\nab"}) {
    const RunningServer server(options);
    const Client client(server);
    client.send(std::string("POST / HTTP/1.1\r\nhost: x\r\n") + framing);
    const std::string answer = client.read();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 408 ")) << answer;
    EXPECT_TRUE(answer.ends_with("the request body stalled (requestBody)")) << answer;
  }
}

TEST(Server, AnIdleConnectionIsClosedBeforeAndBetweenRequests) {
  auto options = RunningServer::patient();
  options.keep_alive = kShort;
  const RunningServer server(options);
  const Client silent(server);
  EXPECT_EQ(silent.read(), "");
  const Client client(server);
  client.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi");
  const std::string answer = client.read();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 ")) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\nhi")) << answer;
}

TEST(Server, ARequestInProgressIsNotIdle) {
  auto options = RunningServer::patient();
  options.keep_alive = options.head_timeout = options.body_timeout = options.write_stall = kShort;
  RunningServer server(options);
  const Client waits(server);
  waits.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n");
  const Client silent(server);
  EXPECT_EQ(silent.read(), "");  // all bounds have passed by then
  EXPECT_EQ(server.server().connections(), 1U);
}

TEST(Server, TheBoundsAreThoseThatAreDocumented) {
  const ServerOptions options;
  EXPECT_EQ(options.head_timeout, 30 * kSecond);
  EXPECT_EQ(options.body_timeout, 30 * kSecond);
  EXPECT_EQ(options.keep_alive, 75 * kSecond);
  EXPECT_EQ(options.write_stall, 30 * kSecond);
}

// Whoever is turned away reads its answer whole even if it spoke before; the others are not disturbed, and a
// place that is free again is used.
TEST(Server, BeyondItsConnectionsClientsAreTurnedAway) {
  auto options = RunningServer::patient();
  options.max_connections = 1;
  RunningServer server(options);
  const Client first(server);
  server.settle();
  std::vector<Client> more(40);  // more than linger at a time
  for (Client& client : more) {
    client.connect(server);
    const std::string answer = client.read();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 ")) << answer;
    EXPECT_TRUE(answer.ends_with("too many connections")) << answer;
  }
  server.settle();
  EXPECT_LE(server.server().connections(), 17U);
  more.clear();
  server.settle();
  EXPECT_EQ(server.server().connections(), 1U);
  first.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi");
  EXPECT_TRUE(first.read("hi").ends_with("hi"));
}

// The listener is edge triggered: what could not be accepted for want of a descriptor tells of itself no
// more.
TEST(Server, AClientThatFoundNoFreeDescriptorIsAcceptedLater) {
#if defined(__has_feature)
#if __has_feature(undefined_behavior_sanitizer)
  GTEST_SKIP() << "not run: the sanitizer looks at objects through a pipe of its own, and there is no "
                  "descriptor for it";
#endif
#endif
  RunningServer server(RunningServer::patient());
  Client client;  // its descriptor is made before there is none
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  client.connect(server);
  server.settle();
  const std::size_t connections = server.server().connections();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(connections, 0U);
  client.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi");
  EXPECT_TRUE(client.read("hi").ends_with("hi"));
}

}  // namespace
}  // namespace tg::http
