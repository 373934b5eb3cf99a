// The client against a socket that answers with bytes of the test's choice.
#include "app/control_client.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <thread>

#include "base/fd.hpp"

namespace tg::app {
namespace {

class ControlClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/tidegate-control-XXXXXX";
    root_ = ::mkdtemp(pattern);
    path_ = root_ + "/control.sock";
  }
  void TearDown() override {
    if (thread_.joinable()) thread_.join();
    std::filesystem::remove_all(root_);
  }
  // Answers one request with these bytes in pieces of `piece`, then closes.
  void serve(std::string answer, std::size_t piece) {
    listener_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_TRUE(listener_);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
    ASSERT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listener_.get(), 4), 0);
    thread_ = std::thread([this, answer = std::move(answer), piece] {
      const Fd fd(::accept(listener_.get(), nullptr, nullptr));
      if (!fd) return;
      std::array<char, 4096> buffer{};
      while (request_.find("\r\n\r\nbody") == std::string::npos) {
        const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
        if (n <= 0) return;
        request_.append(buffer.data(), static_cast<std::size_t>(n));
      }
      for (std::size_t at = 0; at < answer.size(); at += piece) {
        const std::string part = answer.substr(at, piece);
        if (::send(fd.get(), part.data(), part.size(), MSG_NOSIGNAL) < 0) return;
      }
    });
  }
  std::string root_, path_, request_;
  Fd listener_;
  std::thread thread_;
};

TEST_F(ControlClientTest, ReadsAnAnswerInPieces) {
  serve("HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"items\":[1]}",
        1);
  const auto answer = ControlClient(path_).call("POST", "/api/v1/keys", "body");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 201);
  EXPECT_EQ(answer->content_type, "application/json");
  EXPECT_EQ(answer->body, "{\"items\":[1]}");
  thread_.join();
  EXPECT_EQ(request_.substr(0, 28), "POST /api/v1/keys HTTP/1.1\r\n");
  EXPECT_NE(request_.find("Content-Length: 4\r\n"), std::string::npos);
}

TEST_F(ControlClientTest, SaysWhenTheAnswerBreaksOff) {
  serve("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", 1000);
  const auto answer = ControlClient(path_).call("GET", "/", "body");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, "control_failed");
}

TEST_F(ControlClientTest, SaysWhenTheOtherSideIsNoHttp) {
  serve("SSH-2.0-OpenSSH_9.2\r\n\r\n", 1000);
  EXPECT_EQ(ControlClient(path_).call("GET", "/", "body").error().code, "control_failed");
}

TEST_F(ControlClientTest, GivesUpAfterItsTimeAndSaysThatItWaits) {
  serve("", 1);
  // The server thread reads the request only when the client sends "body"; without it nobody answers.
  bool told = false;
  const auto answer = ControlClient(path_).call("GET", "/", "", [&] { told = true; }, 1100 * kMillisecond);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, "control_timeout");
  EXPECT_TRUE(told);
}

TEST_F(ControlClientTest, SaysWhenNobodyIsThere) {
  EXPECT_FALSE(ControlClient(path_).running());
  EXPECT_EQ(ControlClient(path_).call("GET", "/", "").error().code, "not_running");
  serve("", 1);
  EXPECT_TRUE(ControlClient(path_).running());
  EXPECT_EQ(ControlClient("/" + std::string(200, 'x')).call("GET", "/", "").error().code, "path_too_long");
}

}  // namespace
}  // namespace tg::app
