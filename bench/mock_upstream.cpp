// A provider with the OpenAI dialect for measurements: fixed answers at little cost, on one thread and one
// epoll loop.
//
//   mock_upstream --listen 127.0.0.1:9001 [--key SECRET]
//
//   POST /v1/chat/completions  1,024 bytes of JSON, or with "stream":true a stream of events: `chunks` of
//   `chunk_bytes`,
//                              each with a stamp of the clock, `delay_us` apart, then finish, usage if asked
//                              for, [DONE]
//   GET  /ctl?chunks=N&delay_us=N&chunk_bytes=N&answer_bytes=N   changes the above for the streams and
//   answers to come GET  /ctl/last             the raw bytes of the last POST GET  /ctl/log              what
//   happened to connections, one line each: ns, connection, words GET  /ctl/reset            forgets the log
//
// With --key another Authorization is answered with 401, so that a proxy that passes the client's own key is
// found out.
#include <algorithm>
#include <cinttypes>
#include <deque>
#include <memory>
#include <queue>
#include <unordered_map>
#include <vector>

#include "tool.hpp"

namespace bench {
namespace {

constexpr std::size_t kReadSize = 256 * 1024;
constexpr std::size_t kWriteAhead =
    64 * 1024;  // more unsent bytes than this and a stream waits for its reader
constexpr std::size_t kLogLines = 50'000;

struct Settings {
  std::uint64_t chunks = 20;
  Nanos delay = 0;
  std::size_t chunk_bytes = 200;
  std::size_t answer_bytes = 1024;
};

struct Stream {
  std::uint64_t sent = 0;
  std::uint64_t chunks = 0;
  Nanos delay = 0;
  Nanos due = 0;
  std::size_t chunk_bytes = 0;
  bool usage = false;
};

struct Connection {
  int fd = -1;
  std::uint64_t id = 0;
  std::string in;
  std::size_t body_at = 0;    // of the request at the front of `in`; 0 = its head is not complete
  std::size_t body_size = 0;  // with Content-Length
  bool chunked = false;
  bool close_after = false;
  std::string out;
  std::size_t out_at = 0;
  bool wants_write = false;
  bool timer_set = false;
  std::optional<Stream> stream;
};

struct Timer {
  Nanos due;
  std::uint64_t connection;
  bool operator>(const Timer& other) const { return due > other.due; }
};

std::string response(std::string_view status, std::string_view type, std::string_view body) {
  std::string text = "HTTP/1.1 ";
  text.append(status).append("\r\nContent-Type: ").append(type).append("\r\nContent-Length: ");
  text.append(std::to_string(body.size())).append("\r\n\r\n").append(body);
  return text;
}

// A completion of exactly `size` bytes, with a field nobody knows and an integer that fits no machine word.
std::string completion(std::size_t size) {
  std::string head =
      R"({"id":"chatcmpl-bench","object":"chat.completion","created":1763000000,"model":"bench-model","choices":[{"index":0,)"
      R"("message":{"role":"assistant","content":")";
  std::string tail =
      R"("},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":215,"completion_tokens":171,)"
      R"("total_tokens":386},"x_unknown":{"kept":[1,2.50,"as is"]},"big_integer":123456789012345678901234567890})";
  std::string content;
  static constexpr std::string_view kWords = R"(The answer stands here, with a \"quote\" and a line.\n)";
  std::size_t room = size > head.size() + tail.size() ? size - head.size() - tail.size() : 0;
  while (content.size() + kWords.size() <= room) content += kWords;
  content.append(room - content.size(), '.');
  return head + content + tail;
}

void append_http_chunk(std::string& out, std::string_view payload) {
  char size[20];
  auto [end, error] = std::to_chars(size, size + sizeof size, payload.size(), 16);
  (void)error;
  out.append(size, end).append("\r\n").append(payload).append("\r\n");
}

// Body bytes of a request in chunked framing from `at`; nullopt while incomplete.
std::optional<std::size_t> chunked_end(std::string_view text, std::size_t at) {
  Dechunker dechunker;
  std::size_t used = dechunker.feed(text.substr(at), [](std::string_view) {});
  if (dechunker.broken()) return text.size();
  if (!dechunker.done()) return std::nullopt;
  return at + used;
}

// True if the JSON text has the member `name` (with quotes) with the value true.
bool has_true(std::string_view json, std::string_view name) {
  while (true) {
    std::size_t at = find_bytes(json, name);
    if (at == std::string_view::npos) return false;
    json.remove_prefix(at + name.size());
    std::size_t value = json.find_first_not_of(" \t\r\n:");
    if (value != std::string_view::npos && json.substr(value).starts_with("true")) return true;
  }
}

class Mock {
 public:
  explicit Mock(const Options& options) : key_(options.text("key")) {
    sockaddr_in address = parse_address(options.text("listen"));
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        listen(listener_, 4096) != 0) {
      fail_errno("cannot listen on " + options.text("listen"));
    }
    epoll_.add(listener_, EPOLLIN, nullptr);
    answer_ = response("200 OK", "application/json", completion(settings_.answer_bytes));
  }

  [[noreturn]] void run() {
    std::vector<epoll_event> events(512);
    while (true) {
      Nanos due = timers_.empty() ? 0 : timers_.top().due;
      int got = epoll_.wait(events.data(), static_cast<int>(events.size()), due);
      for (int i = 0; i < got; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.data.ptr == nullptr) {
          accept_all();
        } else {
          on_event(*static_cast<Connection*>(event.data.ptr), event.events);
        }
      }
      fire_timers();
      dead_.clear();  // only now: later events of the same batch may point at them
    }
  }

 private:
  void accept_all() {
    while (true) {
      int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      no_delay(fd);
      auto connection = std::make_unique<Connection>();
      connection->fd = fd;
      connection->id = ++last_id_;
      epoll_.add(fd, EPOLLIN | EPOLLRDHUP, connection.get());
      connections_.emplace(connection->id, std::move(connection));
    }
  }

  void on_event(Connection& c, std::uint32_t events) {
    if (c.fd < 0) return;
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0 && !read(c)) {
      close_connection(c);
      return;
    }
    if ((events & EPOLLOUT) != 0 && !progress(c)) close_connection(c);
  }

  // False when the connection is over.
  bool read(Connection& c) {
    while (true) {
      ssize_t got = recv(c.fd, buffer_.data(), buffer_.size(), 0);
      if (got == 0) return false;
      if (got < 0) return errno == EAGAIN || errno == EINTR;
      c.in.append(buffer_.data(), static_cast<std::size_t>(got));
      if (!c.stream && !serve(c)) return false;
      if (static_cast<std::size_t>(got) < buffer_.size()) return true;
    }
  }

  // Answers every complete request at the front of `in`, until one is a stream.
  bool serve(Connection& c) {
    while (!c.in.empty() && !c.stream) {
      if (c.body_at == 0) {
        std::size_t end = c.in.find("\r\n\r\n");
        if (end == std::string::npos) return c.in.size() < kReadSize;
        std::string_view head(c.in.data(), end + 4);
        c.body_at = end + 4;
        auto length = header(head, "content-length");
        c.body_size = length ? parse_number(*length).value_or(0) : 0;
        c.chunked = header(head, "transfer-encoding").has_value();
        c.close_after = header(head, "connection").value_or("") == "close";
        if (header(head, "expect")) c.out += "HTTP/1.1 100 Continue\r\n\r\n";
        if (!c.chunked) c.in.reserve(c.body_at + c.body_size);
      }
      std::size_t end = c.body_at + c.body_size;
      if (c.chunked) {
        auto found = chunked_end(c.in, c.body_at);
        if (!found) return flush(c);
        end = *found;
      } else if (c.in.size() < end) {
        return c.out.empty() || flush(c);
      }
      answer(c, std::string_view(c.in).substr(0, c.body_at),
             std::string_view(c.in).substr(c.body_at, end - c.body_at));
      take_request(c, end);
      if (c.stream) pump(c, now_ns());
      if (!flush(c)) return false;
    }
    return true;
  }

  // Removes the request from `in`; the usual case, nothing behind it, hands the buffer over without a copy.
  void take_request(Connection& c, std::size_t end) {
    bool post = c.in.starts_with("POST ");
    c.body_at = 0;
    if (post && c.in.size() == end) {
      std::swap(last_, c.in);
      c.in.clear();
      return;
    }
    if (post) last_ = c.in.substr(0, end);
    c.in.erase(0, end);
  }

  void answer(Connection& c, std::string_view head, std::string_view body) {
    std::size_t space = head.find(' ');
    std::string_view path = head.substr(space + 1, head.find(' ', space + 1) - space - 1);
    if (path.starts_with("/ctl")) {
      control(c, path);
    } else if (!key_.empty() && header(head, "authorization").value_or("") != "Bearer " + key_) {
      c.out += response("401 Unauthorized", "application/json", R"({"error":{"message":"wrong key"}})");
      note(c, "wrong key");
    } else if (path == "/v1/models") {
      c.out +=
          response("200 OK", "application/json",
                   R"({"object":"list","data":[{"id":"bench-model","object":"model","owned_by":"bench"}]})");
    } else if (path != "/v1/chat/completions" || !head.starts_with("POST ")) {
      c.out += response("404 Not Found", "application/json", R"({"error":{"message":"no such path"}})");
    } else if (!has_true(body, "\"stream\"")) {
      c.out += answer_;
    } else {
      c.out +=
          "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
          "Transfer-Encoding: chunked\r\n\r\n";
      Stream stream;
      stream.chunks = settings_.chunks;
      stream.delay = settings_.delay;
      stream.due = now_ns();
      stream.chunk_bytes = settings_.chunk_bytes;
      stream.usage = has_true(body, "\"include_usage\"");
      c.stream = stream;
    }
  }

  void control(Connection& c, std::string_view path) {
    if (path == "/ctl/last") {
      c.out += response("200 OK", "application/octet-stream", last_);
      return;
    }
    if (path == "/ctl/log") {
      std::string text;
      for (const std::string& line : log_) text.append(line).append("\n");
      c.out += response("200 OK", "text/plain", text);
      return;
    }
    if (path == "/ctl/reset") log_.clear();
    std::string_view query = path.substr(std::min(path.size(), path.find('?')));
    while (!query.empty()) {
      query.remove_prefix(1);
      std::string_view pair = query.substr(0, query.find('&'));
      query.remove_prefix(pair.size());
      std::size_t equal = pair.find('=');
      auto value = equal == std::string_view::npos ? std::nullopt : parse_number(pair.substr(equal + 1));
      if (!value || !set(pair.substr(0, equal), *value)) {
        c.out += response("400 Bad Request", "text/plain", "not understood: " + std::string(pair) + "\n");
        return;
      }
    }
    answer_ = response("200 OK", "application/json", completion(settings_.answer_bytes));
    c.out += response("200 OK", "text/plain", "ok\n");
  }

  bool set(std::string_view name, std::uint64_t value) {
    if (name == "chunks") {
      settings_.chunks = value;
    } else if (name == "delay_us") {
      settings_.delay = value * kMicro;
    } else if (name == "chunk_bytes") {
      settings_.chunk_bytes = value;
    } else if (name == "answer_bytes") {
      settings_.answer_bytes = value;
    } else {
      return false;
    }
    return true;
  }

  // Writes the chunks that are due, as far as the reader takes them.
  void pump(Connection& c, Nanos now) {
    Stream& s = *c.stream;
    while (c.out.size() - c.out_at < kWriteAhead) {
      if (s.delay != 0 && now < s.due) {
        if (!c.timer_set) timers_.push({s.due, c.id});
        c.timer_set = true;
        return;
      }
      if (s.sent == s.chunks) {
        finish(c);
        return;
      }
      append_chunk(c.out, s, s.delay == 0 ? now_ns() : now);
      ++s.sent;
      s.due += s.delay;
    }
  }

  void append_chunk(std::string& out, const Stream& s, Nanos stamp) {
    char digits[24];
    std::snprintf(digits, sizeof digits, "%019" PRIu64, stamp);
    event_.assign(
        R"(data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1763000000,"model":"bench-model",)"
        R"("choices":[{"index":0,"delta":{"content":")");
    event_.append(kStampMark).append(digits, kStampDigits).append("@");
    static constexpr std::string_view kEnd = "\"},\"finish_reason\":null}]}\n\n";
    if (event_.size() + kEnd.size() < s.chunk_bytes) {
      event_.append(s.chunk_bytes - event_.size() - kEnd.size(), '.');
    }
    event_.append(kEnd);
    append_http_chunk(out, event_);
  }

  void finish(Connection& c) {
    const Stream& s = *c.stream;
    append_http_chunk(c.out,
                      R"(data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1763000000,)"
                      R"("model":"bench-model","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})"
                      "\n\n");
    if (s.usage) {
      std::string chunks = std::to_string(s.chunks);
      std::string total = std::to_string(s.chunks + 215);
      append_http_chunk(
          c.out, R"(data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1763000000,)"
                 R"("model":"bench-model","choices":[],"usage":{"prompt_tokens":215,"completion_tokens":)" +
                     chunks + R"(,"total_tokens":)" + total + "}}\n\n");
    }
    append_http_chunk(c.out, "data: [DONE]\n\n");
    c.out += "0\r\n\r\n";
    c.stream.reset();
  }

  void fire_timers() {
    while (!timers_.empty()) {
      Nanos now = now_ns();
      Timer timer = timers_.top();
      if (timer.due > now) return;
      timers_.pop();
      auto found = connections_.find(timer.connection);
      if (found == connections_.end()) continue;
      Connection& c = *found->second;
      c.timer_set = false;
      if (!c.stream) continue;
      pump(c, now);
      if (!progress(c)) close_connection(c);
    }
  }

  // Sends what it can; a stream without pauses makes more as room appears. False when the connection is over.
  bool flush(Connection& c) {
    while (c.out_at < c.out.size()) {
      ssize_t sent = send(c.fd, c.out.data() + c.out_at, c.out.size() - c.out_at, MSG_NOSIGNAL);
      if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) return false;
        want_write(c, true);
        return true;
      }
      c.out_at += static_cast<std::size_t>(sent);
      if (c.out_at == c.out.size()) {
        c.out.clear();
        c.out_at = 0;
        if (c.stream) pump(c, now_ns());
      }
    }
    want_write(c, false);
    return c.stream || !c.close_after || c.body_at != 0;
  }

  // Sends, then answers the requests that came in behind a stream that has ended.
  bool progress(Connection& c) { return flush(c) && (c.stream || c.in.empty() || serve(c)); }

  void want_write(Connection& c, bool wanted) {
    if (c.wants_write == wanted) return;
    c.wants_write = wanted;
    epoll_.change(c.fd, EPOLLIN | EPOLLRDHUP | (wanted ? EPOLLOUT : 0U), &c);
  }

  void close_connection(Connection& c) {
    if (c.fd < 0) return;
    if (c.stream) note(c, "peer closed after " + std::to_string(c.stream->sent) + " chunks");
    if (!c.stream && c.body_at != 0) note(c, "peer closed inside a request");
    close(c.fd);
    c.fd = -1;
    auto found = connections_.find(c.id);
    dead_.push_back(std::move(found->second));
    connections_.erase(found);
  }

  void note(const Connection& c, const std::string& words) {
    if (log_.size() == kLogLines) log_.pop_front();
    log_.push_back(std::to_string(now_ns()) + " " + std::to_string(c.id) + " " + words);
  }

  Epoll epoll_;
  int listener_ = -1;
  std::string key_;
  Settings settings_;
  std::string answer_;
  std::string event_;  // scratch of append_chunk
  std::string last_;
  std::deque<std::string> log_;
  std::uint64_t last_id_ = 0;
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> dead_;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  std::vector<char> buffer_ = std::vector<char>(kReadSize);
};

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  bench::Mock mock(bench::Options(argc, argv, 1, {{"listen", "127.0.0.1:9001"}, {"key", ""}}));
  mock.run();
}
