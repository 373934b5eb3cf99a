// What the mock upstream and the load generator share: clock, sockets, options, the bytes of HTTP that both
// need. One thread; a fault of the surroundings ends the program with one line on stderr and status 2.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace bench {

using Nanos = std::uint64_t;  // of CLOCK_MONOTONIC

inline constexpr Nanos kMicro = 1000;
inline constexpr Nanos kSecond = 1'000'000'000;
inline constexpr std::size_t kStampDigits = 19;
inline constexpr std::string_view kStampMark = "@T";  // a stamp is @T, 19 digits of ns, @

inline Nanos now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<Nanos>(t.tv_sec) * kSecond + static_cast<Nanos>(t.tv_nsec);
}

[[noreturn]] inline void fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(2);
}

[[noreturn]] inline void fail_errno(const std::string& what) { fail(what + ": " + std::strerror(errno)); }

inline std::optional<std::uint64_t> parse_number(std::string_view text, int base = 10) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// `--name value` pairs after the words the program takes itself.
class Options {
 public:
  Options(int argc, char** argv, int first, const std::map<std::string, std::string>& defaults)
      : values_(defaults) {
    for (int i = first; i < argc; i += 2) {
      std::string name = argv[i];
      if (!name.starts_with("--") || !values_.contains(name.substr(2))) fail("unknown option " + name);
      if (i + 1 == argc) fail("no value for " + name);
      values_[name.substr(2)] = argv[i + 1];
    }
  }
  const std::string& text(const std::string& name) const { return values_.at(name); }
  std::uint64_t number(const std::string& name) const {
    auto value = parse_number(text(name));
    if (!value) fail("--" + name + " takes a whole number, not '" + text(name) + "'");
    return *value;
  }
  double real(const std::string& name) const {
    const char* begin = text(name).c_str();
    char* end = nullptr;
    double value = std::strtod(begin, &end);
    if (end == begin || *end != '\0') fail("--" + name + " takes a number, not '" + text(name) + "'");
    return value;
  }

 private:
  std::map<std::string, std::string> values_;
};

inline sockaddr_in parse_address(const std::string& text) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  auto colon = text.rfind(':');
  auto port =
      colon == std::string::npos ? std::nullopt : parse_number(std::string_view(text).substr(colon + 1));
  if (!port || *port > 65535 || inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr) != 1) {
    fail("'" + text + "' is not ADDRESS:PORT");
  }
  address.sin_port = htons(static_cast<std::uint16_t>(*port));
  return address;
}

inline void no_delay(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

class Epoll {
 public:
  Epoll() : fd_(epoll_create1(EPOLL_CLOEXEC)) {
    if (fd_ < 0) fail_errno("epoll_create1");
    prctl(PR_SET_TIMERSLACK, 1);  // ns: the pauses between chunks are part of the measurement
  }
  void add(int fd, std::uint32_t events, void* owner) { control(EPOLL_CTL_ADD, fd, events, owner); }
  void change(int fd, std::uint32_t events, void* owner) { control(EPOLL_CTL_MOD, fd, events, owner); }
  // Waits until an event or `due` (0 = for ever).
  int wait(epoll_event* events, int room, Nanos due) const {
    timespec pause{};
    if (due != 0) {
      Nanos now = now_ns();
      Nanos left = due > now ? due - now : 0;
      pause.tv_sec = static_cast<time_t>(left / kSecond);
      pause.tv_nsec = static_cast<long>(left % kSecond);
    }
    int got = epoll_pwait2(fd_, events, room, due == 0 ? nullptr : &pause, nullptr);
    if (got < 0 && errno != EINTR) fail_errno("epoll_pwait2");
    return got < 0 ? 0 : got;
  }

 private:
  void control(int operation, int fd, std::uint32_t events, void* owner) const {
    epoll_event event{};
    event.events = events;
    event.data.ptr = owner;
    if (epoll_ctl(fd_, operation, fd, &event) != 0) fail_errno("epoll_ctl");
  }
  int fd_;
};

// The value of a field in a head without its first line, nullopt if absent. Names compare without case.
inline std::optional<std::string_view> header(std::string_view head, std::string_view name) {
  std::size_t at = head.find("\r\n");
  while (at != std::string_view::npos && at + 2 < head.size()) {
    std::string_view line = head.substr(at + 2);
    std::size_t end = line.find("\r\n");
    if (end == 0) break;
    line = line.substr(0, end);
    if (line.size() > name.size() && line[name.size()] == ':' &&
        strncasecmp(line.data(), name.data(), name.size()) == 0) {
      line.remove_prefix(name.size() + 1);
      while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
      while (!line.empty() && line.back() == ' ') line.remove_suffix(1);
      return line;
    }
    at = end == std::string_view::npos ? end : at + 2 + end;
  }
  return std::nullopt;
}

inline std::size_t find_bytes(std::string_view text, std::string_view part) {
  const void* hit = memmem(text.data(), text.size(), part.data(), part.size());
  return hit == nullptr ? std::string_view::npos
                        : static_cast<std::size_t>(static_cast<const char*>(hit) - text.data());
}

// Takes chunked framing off, piece by piece; each piece of payload goes to `sink`. Returns how much was used;
// done() when the last chunk and its trailer have passed, broken() when the framing is not valid.
class Dechunker {
 public:
  template <typename Sink>
  std::size_t feed(std::string_view text, Sink&& sink) {
    std::size_t at = 0;
    while (at < text.size() && state_ != State::done && state_ != State::broken) {
      if (state_ == State::data) {
        std::size_t take = std::min<std::size_t>(left_, text.size() - at);
        sink(text.substr(at, take));
        at += take;
        left_ -= take;
        if (left_ == 0) state_ = State::data_end;
        continue;
      }
      char c = text[at++];
      if (c != '\n') {
        if (c != '\r' && line_.size() < 64) line_.push_back(c);
        continue;
      }
      end_of_line();
      line_.clear();
    }
    return at;
  }
  bool done() const { return state_ == State::done; }
  bool broken() const { return state_ == State::broken; }
  void reset() { *this = Dechunker(); }

 private:
  enum class State { size, data, data_end, trailer, done, broken };
  void end_of_line() {
    if (state_ == State::data_end) {
      state_ = line_.empty() ? State::size : State::broken;
    } else if (state_ == State::trailer) {
      if (line_.empty()) state_ = State::done;
    } else {
      auto size = parse_number(std::string_view(line_).substr(0, line_.find(';')), 16);
      if (!size) {
        state_ = State::broken;
      } else {
        left_ = *size;
        state_ = left_ == 0 ? State::trailer : State::data;
      }
    }
  }
  State state_ = State::size;
  std::uint64_t left_ = 0;
  std::string line_;
};

}  // namespace bench
