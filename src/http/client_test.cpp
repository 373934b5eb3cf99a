#include "http/client.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/time.h>

#include <future>
#include <optional>
#include <string>
#include <thread>

namespace tg::http {
namespace {

// Keeps what came; `done` runs at the end of an answer or with a failure.
class Events final : public ClientEvents {
 public:
  explicit Events(std::function<void()> done) : done_(std::move(done)) {}
  void on_head(const ResponseHead& head) override { status = head.status; }
  void on_data(const BodyPart& part) override {
    if (part.last) done_();
  }
  void on_failure(Failure f, const FailureDetail&) override {
    failure = f;
    done_();
  }
  int status = 0;
  std::optional<Failure> failure;

 private:
  std::function<void()> done_;
};

// A peer that answers each request of one connection with an empty 200, and tells when the connection ended.
class OneConnection {
 public:
  OneConnection() : listener_(*net::listen_tcp(*net::parse_address("127.0.0.1:0"), false)) {
    port = net::local_address(listener_.get())->port();
    const int flags = ::fcntl(listener_.get(), F_GETFL);
    ::fcntl(listener_.get(), F_SETFL, flags & ~O_NONBLOCK);
    thread_ = std::thread([this] { serve(); });
  }
  ~OneConnection() { thread_.join(); }
  std::future<bool> closed() { return closed_.get_future(); }
  std::uint16_t port = 0;

 private:
  void serve() {
    const Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const timeval bound{10, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound);
    char block[4096];
    ssize_t n = 0;
    while ((n = ::recv(fd.get(), block, sizeof block, 0)) > 0) {
      constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
      ::send(fd.get(), kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL);
    }
    closed_.set_value(n == 0);
  }
  Fd listener_;
  std::promise<bool> closed_;
  std::thread thread_;
};

void ask(Upstreams& upstreams, const std::shared_ptr<const Target>& target, Events& events) {
  static constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
  upstreams.acquire(target, events)->send(&kRequest, 1);
}

std::shared_ptr<Target> target_of(std::uint16_t port) {
  auto target = std::make_shared<Target>();
  target->host = "127.0.0.1";
  target->port = port;
  target->idle_timeout = kHour;
  return target;
}

TEST(Client, AnIdleConnectionIsClosedInTime) {
  OneConnection peer;
  net::Loop loop;
  net::Resolver resolver;
  Upstreams upstreams(loop, resolver);
  auto target = target_of(peer.port);
  target->idle_timeout = 20 * kMillisecond;
  Events events([] {});
  ask(upstreams, target, events);
  auto closed = peer.closed();
  std::thread other([&] {
    EXPECT_TRUE(closed.get());
    loop.stop();
  });
  loop.run();
  other.join();
  EXPECT_EQ(events.status, 200);
  EXPECT_EQ(upstreams.open(), 0U);
}

// Servers that close idle connections after 5 s exist; a request must not meet that close.
TEST(Client, TheDocumentedIdleTimeIsBelowThatOfServers) { EXPECT_LE(Target{}.idle_timeout, 4 * kSecond); }

TEST(Client, CloseIdleClosesWhatIsIdle) {
  OneConnection peer;
  net::Loop loop;
  net::Resolver resolver;
  Upstreams upstreams(loop, resolver);
  Events events([&] { loop.defer([&] { upstreams.close_idle(); }); });
  ask(upstreams, target_of(peer.port), events);
  auto closed = peer.closed();
  std::thread other([&] {
    EXPECT_TRUE(closed.get());
    loop.stop();
  });
  loop.run();
  other.join();
  EXPECT_EQ(events.status, 200);
  EXPECT_EQ(upstreams.open(), 0U);
}

// A listener whose backlog is full: the kernel drops what knocks, as a silent firewall does.
TEST(Client, AHostThatDoesNotAnswerEndsTheTry) {
  const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto any = net::parse_address("127.0.0.1:0");
  ASSERT_EQ(::bind(listener.get(), any->get(), any->length), 0);
  ASSERT_EQ(::listen(listener.get(), 0), 0);
  const auto address = net::local_address(listener.get());
  std::vector<Fd> queued;
  for (bool full = false; !full;) {
    ASSERT_LT(queued.size(), 64U) << "the kernel takes any number";
    queued.push_back(*net::connect_tcp(*address));
    pollfd wait{queued.back().get(), POLLOUT, 0};
    full = ::poll(&wait, 1, 300) == 0;
  }
  net::Loop loop;
  net::Resolver resolver;
  Upstreams upstreams(loop, resolver);
  auto target = target_of(address->port());
  target->connect_timeout = 20 * kMillisecond;
  Events events([&] { loop.stop(); });
  ask(upstreams, target, events);
  loop.run();
  EXPECT_EQ(events.failure, Failure::connect_timeout);
}

}  // namespace
}  // namespace tg::http
