// Clients for measurements, on one thread and one epoll loop. Prints one JSON object.
//
//   load_generator MODE --target ADDRESS:PORT --key KEY [options]
//
//   req     --connections C --seconds S        closed loop: each connection sends, waits for the whole
//   answer, sends rate    --rate R --seconds S               open loop: a request is due every 1/R s, its
//   latency counts from then sse     --connections C --repeat N         C streams at a time, N times: time to
//   the first event, event latencies hold    --streams N --ramp R               opens N streams, R a second,
//   waits for one event on each, prints
//                                              "held" and keeps them until stdin ends
//   flood   --streams N --receive-buffer B     N streams whose answers nobody reads, until stdin ends
//
// Every answer is checked: status 200, complete, for streams [DONE] at the end and no usage event that was
// not asked for. Event latency is arrival minus the stamp that the mock upstream wrote into it. Times in the
// output are microseconds.
#include <sys/stat.h>

#include <deque>
#include <memory>
#include <vector>

#include "tool.hpp"

namespace bench {
namespace {

constexpr std::size_t kReadSize = 256 * 1024;
constexpr std::size_t kTailKept = 1024;  // of a stream's payload, for the check of its end

// One answer, byte by byte as it comes. Payload goes to `sink` without its framing.
class AnswerReader {
 public:
  template <typename Sink>
  void feed(std::string_view text, Sink&& sink) {
    if (state_ == State::head) {
      head_.append(text);
      std::size_t end = head_.find("\r\n\r\n");
      if (end == std::string::npos) {
        if (head_.size() > 64 * 1024) state_ = State::broken;
        return;
      }
      std::string rest = head_.substr(end + 4);
      head_.resize(end + 4);
      start_body();
      body(rest, sink);
      return;
    }
    body(text, sink);
  }
  bool done() const { return state_ == State::done; }
  bool broken() const { return state_ == State::broken; }
  int status() const { return status_; }
  bool closes() const { return closes_; }
  void reset() { *this = AnswerReader(); }

 private:
  enum class State { head, length, chunked, done, broken };
  void start_body() {
    auto code = parse_number(std::string_view(head_).substr(std::min<std::size_t>(9, head_.size()), 3));
    status_ = code ? static_cast<int>(*code) : 0;
    closes_ = header(head_, "connection").value_or("") == "close";
    auto length = header(head_, "content-length");
    if (header(head_, "transfer-encoding")) {
      state_ = State::chunked;
    } else if (length && parse_number(*length)) {
      left_ = *parse_number(*length);
      state_ = left_ == 0 ? State::done : State::length;
    } else {
      state_ = State::broken;  // an answer that ends with its connection: no peer here has a reason for it
    }
  }
  template <typename Sink>
  void body(std::string_view text, Sink&& sink) {
    if (text.empty()) return;
    if (state_ == State::chunked) {
      std::size_t used = dechunker_.feed(text, sink);
      if (dechunker_.done()) state_ = used == text.size() ? State::done : State::broken;
      if (dechunker_.broken()) state_ = State::broken;
    } else if (state_ == State::length && text.size() <= left_) {
      sink(text);
      left_ -= text.size();
      if (left_ == 0) state_ = State::done;
    } else {
      state_ = State::broken;  // more bytes than one answer has
    }
  }
  State state_ = State::head;
  std::string head_;
  int status_ = 0;
  bool closes_ = false;
  std::uint64_t left_ = 0;
  Dechunker dechunker_;
};

// Finds the stamps in a payload that comes in pieces, and keeps its end.
class EventScanner {
 public:
  template <typename Found>
  void feed(std::string_view text, Found&& found) {
    carry_.append(text);
    std::string_view rest = carry_;
    while (true) {
      std::size_t at = find_bytes(rest, kStampMark);
      if (at == std::string_view::npos) break;
      rest.remove_prefix(at);
      if (rest.size() < kStampMark.size() + kStampDigits + 1) {
        carry_ = std::string(rest);
        return;
      }
      auto stamp = parse_number(rest.substr(kStampMark.size(), kStampDigits));
      if (stamp && rest[kStampMark.size() + kStampDigits] == '@') found(*stamp);
      rest.remove_prefix(kStampMark.size());
    }
    if (rest.size() > kTailKept) rest.remove_prefix(rest.size() - kTailKept);
    carry_ = std::string(rest);
  }
  bool has_end() const { return carry_.find("data: [DONE]\n\n") != std::string::npos; }
  bool has_usage() const { return carry_.find("\"usage\":{") != std::string::npos; }

 private:
  std::string carry_;
};

// Text as people send it: words, line ends, quotes and some letters beyond ASCII, exactly `size` bytes of
// JSON.
std::string request_body(std::size_t size, bool stream) {
  std::string head =
      R"({"messages":[{"role":"system","content":"You answer briefly."},{"role":"user","content":")";
  std::string tail = R"("}],"model":"bench-model","max_tokens":256,)";
  tail += stream ? R"("stream":true})" : R"("temperature":0.2})";
  static constexpr std::string_view kLine =
      R"(Please read the report and say \"yes\" or \"no\" to each of its points; the caf)"
      "\xc3\xa9"
      R"( was open, 42 people came.\n)";
  if (size < head.size() + tail.size())
    fail("--body-bytes must be at least " + std::to_string(head.size() + tail.size()));
  std::size_t room = size - head.size() - tail.size();
  std::string content;
  content.reserve(room);
  while (content.size() + kLine.size() <= room) content += kLine;
  content.append(room - content.size(), 'x');
  return head + content + tail;
}

struct Samples {
  std::vector<Nanos> values;
  void add(Nanos value) { values.push_back(value); }
  double at(double share) {
    if (values.empty()) return 0;
    auto rank = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1) + 0.5);
    std::nth_element(values.begin(), values.begin() + rank, values.end());
    return static_cast<double>(values[static_cast<std::size_t>(rank)]) / 1000.0;
  }
  std::string json(const char* name) {
    char text[160];
    double top =
        values.empty() ? 0 : static_cast<double>(*std::max_element(values.begin(), values.end())) / 1000.0;
    std::snprintf(text, sizeof text, ",\"%s_p50\":%.1f,\"%s_p99\":%.1f,\"%s_max\":%.1f", name, at(0.50), name,
                  at(0.99), name, top);
    return text;
  }
};

enum class Mode { req, rate, sse, hold, flood };

struct Client {
  int fd = -1;
  bool connected = false;
  bool busy = false;
  bool reading = true;
  std::size_t sent = 0;
  AnswerReader answer;
  EventScanner events;
  Nanos started = 0;     // request sent, or due
  Nanos last_event = 0;  // arrival
  std::uint64_t stamps = 0;
};

class Generator {
 public:
  Generator(Mode mode, const Options& options)
      : mode_(mode),
        options_(options),
        target_(parse_address(options.text("target"))),
        limit_(static_cast<Nanos>(options.real("limit") * 1e9)) {
    bool stream = mode != Mode::req && mode != Mode::rate;
    std::string body = request_body(options.number("body-bytes"), stream);
    request_ = "POST /v1/chat/completions HTTP/1.1\r\nHost: " + options.text("target") +
               "\r\nAuthorization: Bearer " + options.text("key") +
               "\r\nContent-Type: application/json\r\nAccept: application/json\r\nUser-Agent: bench/1\r\n"
               "Content-Length: " +
               std::to_string(body.size()) + "\r\n\r\n" + body;
  }

  void run() {
    began_ = now_ns();
    switch (mode_) {
      case Mode::req:
        run_closed();
        break;
      case Mode::rate:
        run_open();
        break;
      case Mode::sse:
        run_streams();
        break;
      case Mode::hold:
        run_hold();
        break;
      case Mode::flood:
        run_flood();
        break;
    }
    print();
  }

 private:
  Client& connect_one(std::size_t receive_buffer) {
    clients_.push_back(std::make_unique<Client>());
    open(*clients_.back(), receive_buffer);
    return *clients_.back();
  }

  void open(Client& c, std::size_t receive_buffer) {
    c.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c.fd < 0) fail_errno("socket");
    no_delay(c.fd);
    if (receive_buffer != 0) {
      int bytes = static_cast<int>(receive_buffer);
      setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    }
    c.connected = false;
    if (connect(c.fd, reinterpret_cast<sockaddr*>(&target_), sizeof target_) != 0 && errno != EINPROGRESS) {
      fail_errno("cannot connect to " + options_.text("target"));
    }
    epoll_.add(c.fd, EPOLLIN | EPOLLOUT, &c);
  }

  void start(Client& c, Nanos due) {
    c.busy = true;
    c.sent = 0;
    c.stamps = 0;
    c.last_event = 0;
    c.started = due;
    c.answer.reset();
    c.events = EventScanner();
    if (c.connected) send_request(c);
  }

  void send_request(Client& c) {
    while (c.sent < request_.size()) {
      ssize_t sent = send(c.fd, request_.data() + c.sent, request_.size() - c.sent, MSG_NOSIGNAL);
      if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) return lost(c);
        epoll_.change(c.fd, EPOLLIN | EPOLLOUT, &c);
        return;
      }
      c.sent += static_cast<std::size_t>(sent);
    }
  }

  // One turn of the loop; `due` = when to come back without an event, 0 = only for events.
  void turn(Nanos due) {
    int got = epoll_.wait(events_.data(), static_cast<int>(events_.size()), due);
    for (int i = 0; i < got; ++i) {
      const epoll_event& event = events_[static_cast<std::size_t>(i)];
      Client& c = *static_cast<Client*>(event.data.ptr);
      if (c.fd < 0) continue;
      if ((event.events & EPOLLOUT) != 0) on_writable(c);
      if (c.fd >= 0 && (event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) on_readable(c);
    }
  }

  void on_writable(Client& c) {
    c.connected = true;
    epoll_.change(c.fd, c.reading ? EPOLLIN : 0U, &c);
    if (c.busy) send_request(c);
  }

  void on_readable(Client& c) {
    if (!c.reading) return lost(c);  // only an error or a hang-up comes here
    while (true) {
      ssize_t got = recv(c.fd, buffer_.data(), buffer_.size(), 0);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (got <= 0) return lost(c);
      if (!c.busy) return lost(c);  // bytes nobody asked for
      Nanos now = now_ns();
      bool stream = mode_ != Mode::req && mode_ != Mode::rate;
      c.answer.feed(std::string_view(buffer_.data(), static_cast<std::size_t>(got)),
                    [&](std::string_view payload) {
                      if (stream) c.events.feed(payload, [&](Nanos stamp) { on_stamp(c, stamp, now); });
                    });
      if (c.answer.broken()) return lost(c);
      if (c.answer.done()) return finished(c, now);
      if (static_cast<std::size_t>(got) < buffer_.size()) return;
    }
  }

  void on_stamp(Client& c, Nanos stamp, Nanos now) {
    if (c.stamps++ == 0) {
      first_.add(now - c.started);
      ++streams_with_event_;
    } else {
      gap_.add(now - c.last_event);
    }
    c.last_event = now;
    event_.add(now > stamp ? now - stamp : 0);
  }

  void finished(Client& c, Nanos now) {
    c.busy = false;
    ++done_;
    bool good = c.answer.status() == 200;
    if (mode_ == Mode::sse && (!c.events.has_end() || c.events.has_usage())) good = false;
    if (good) {
      latency_.add(now - c.started);
      ++good_;
    } else {
      ++errors_;
      if (first_error_.empty()) {
        first_error_ = "status " + std::to_string(c.answer.status());
        if (c.answer.status() == 200)
          first_error_ += c.events.has_usage() ? ", usage not asked for" : ", no [DONE]";
      }
    }
    if (c.answer.closes()) {
      close(c.fd);
      open(c, 0);
    }
    next(c, now);
  }

  // The connection ended or failed.
  void lost(Client& c) {
    ++errors_;
    if (first_error_.empty()) first_error_ = c.answer.broken() ? "answer not understood" : "connection lost";
    close(c.fd);
    c.fd = -1;
    c.busy = false;
    if ((mode_ == Mode::req || mode_ == Mode::rate) && errors_ < 1000) {
      open(c, 0);
      next(c, now_ns());
    }
  }

  void next(Client& c, Nanos now) {
    if (mode_ == Mode::req && now < end_) {
      start(c, now);
    } else if (mode_ == Mode::rate) {
      if (waiting_.empty()) {
        idle_.push_back(&c);
      } else {
        Nanos due = waiting_.front();
        waiting_.pop_front();
        start(c, due);
      }
    }
  }

  bool any_busy() const {
    return std::any_of(clients_.begin(), clients_.end(), [](const auto& c) { return c->busy; });
  }

  void drain() {
    Nanos stop = now_ns() + limit_;
    while (any_busy()) {
      if (now_ns() > stop) {
        for (auto& c : clients_) unfinished_ += c->busy ? 1U : 0U;
        break;
      }
      turn(now_ns() + 10'000 * kMicro);
    }
  }

  void run_closed() {
    auto seconds = static_cast<Nanos>(options_.real("seconds") * 1e9);
    auto connections = options_.number("connections");
    for (std::uint64_t i = 0; i < connections; ++i) connect_one(0);
    end_ = began_ + seconds;
    for (auto& c : clients_) start(*c, now_ns());
    while (now_ns() < end_ && errors_ < 1000) turn(end_);
    drain();
    ended_ = now_ns();  // what is answered in the drain counts, so its time does too
  }

  void run_open() {
    double rate = options_.real("rate");
    auto total = static_cast<std::uint64_t>(options_.real("seconds") * rate);
    auto connections = options_.number("connections");
    for (std::uint64_t i = 0; i < connections; ++i) idle_.push_back(&connect_one(0));
    Nanos begin = now_ns() + 20'000 * kMicro;
    for (std::uint64_t i = 0; i < total && errors_ < 1000; ++i) {
      Nanos due = begin + static_cast<Nanos>(static_cast<double>(i) * 1e9 / rate);
      while (now_ns() < due) turn(due);
      if (idle_.empty()) {
        waiting_.push_back(due);
      } else {
        Client* c = idle_.front();
        idle_.pop_front();
        start(*c, due);
      }
    }
    while (!waiting_.empty() && now_ns() < began_ + limit_) turn(now_ns() + 10'000 * kMicro);
    drain();
    ended_ = now_ns();
  }

  void run_streams() {
    auto connections = options_.number("connections");
    for (std::uint64_t i = 0; i < connections; ++i) connect_one(0);
    while (std::any_of(clients_.begin(), clients_.end(), [](const auto& c) { return !c->connected; }))
      turn(0);
    began_ = now_ns();
    for (std::uint64_t i = 0; i < options_.number("repeat"); ++i) {
      for (auto& c : clients_) {
        if (c->fd >= 0) start(*c, now_ns());
      }
      drain();
    }
    ended_ = now_ns();
  }

  void run_hold() {
    std::uint64_t streams = options_.number("streams");
    double ramp = options_.real("ramp");
    for (std::uint64_t i = 0; i < streams; ++i) {
      Nanos due = began_ + static_cast<Nanos>(static_cast<double>(i) * 1e9 / ramp);
      while (now_ns() < due) turn(due);
      start(connect_one(0), now_ns());
    }
    Nanos stop = now_ns() + limit_;
    while (streams_with_event_ + errors_ + done_ < streams && now_ns() < stop)
      turn(now_ns() + 10'000 * kMicro);
    ended_ = now_ns();
    std::printf("{\"held\":%llu}\n", static_cast<unsigned long long>(streams_with_event_));
    std::fflush(stdout);
    until_stdin_ends();
  }

  void run_flood() {
    std::uint64_t streams = options_.number("streams");
    for (std::uint64_t i = 0; i < streams; ++i) {
      Client& c = connect_one(options_.number("receive-buffer"));
      c.reading = false;
      start(c, now_ns());
    }
    std::printf("{\"started\":%llu}\n", static_cast<unsigned long long>(streams));
    std::fflush(stdout);
    until_stdin_ends();
    ended_ = now_ns();
  }

  void until_stdin_ends() {
    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    struct stat kind{};
    if (fstat(STDIN_FILENO, &kind) != 0 || !S_ISFIFO(kind.st_mode)) fail("stdin must be a pipe in this mode");
    while (true) {
      char byte = 0;
      ssize_t got = read(STDIN_FILENO, &byte, 1);
      if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return;
      turn(now_ns() + 20'000 * kMicro);
    }
  }

  void print() {
    double seconds = static_cast<double>(ended_ - began_) / 1e9;
    std::string text = "{\"done\":" + std::to_string(done_) + ",\"good\":" + std::to_string(good_) +
                       ",\"errors\":" + std::to_string(errors_) +
                       ",\"unfinished\":" + std::to_string(unfinished_) + ",\"first_error\":\"" +
                       first_error_ + "\"";
    char number[96];
    std::snprintf(number, sizeof number, ",\"seconds\":%.3f,\"rate\":%.1f,\"chunks\":%zu", seconds,
                  static_cast<double>(good_) / seconds, event_.values.size());
    text += number;
    text += latency_.json("latency");
    if (mode_ == Mode::sse || mode_ == Mode::hold) {
      text += first_.json("ttft") + event_.json("event") + gap_.json("gap");
    }
    std::printf("%s}\n", text.c_str());
  }

  Mode mode_;
  const Options& options_;
  sockaddr_in target_;
  Nanos limit_;
  std::string request_;
  Epoll epoll_;
  std::vector<epoll_event> events_ = std::vector<epoll_event>(512);
  std::vector<char> buffer_ = std::vector<char>(kReadSize);
  std::vector<std::unique_ptr<Client>> clients_;
  std::deque<Client*> idle_;   // rate
  std::deque<Nanos> waiting_;  // rate: due times that found no idle connection
  Nanos began_ = 0, ended_ = 0, end_ = 0;
  std::uint64_t done_ = 0, good_ = 0, errors_ = 0, unfinished_ = 0, streams_with_event_ = 0;
  std::string first_error_;
  Samples latency_, first_, event_, gap_;
};

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  using bench::Mode;
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  static const std::map<std::string, Mode> kModes = {{"req", Mode::req},
                                                     {"rate", Mode::rate},
                                                     {"sse", Mode::sse},
                                                     {"hold", Mode::hold},
                                                     {"flood", Mode::flood}};
  auto mode = argc > 1 ? kModes.find(argv[1]) : kModes.end();
  if (mode == kModes.end())
    bench::fail("usage: load_generator req|rate|sse|hold|flood --target ADDRESS:PORT --key KEY ...");
  bench::Options options(argc, argv, 2,
                         {{"target", "127.0.0.1:8080"},
                          {"key", ""},
                          {"body-bytes", "1024"},
                          {"connections", "64"},
                          {"seconds", "2.5"},
                          {"rate", "200"},
                          {"repeat", "1"},
                          {"streams", "1000"},
                          {"ramp", "2000"},
                          {"receive-buffer", "4096"},
                          {"limit", "30"}});
  bench::Generator generator(mode->second, options);
  generator.run();
}
