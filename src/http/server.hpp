// The server side: listeners, connections and exchanges. An Exchange sees requests and writes answers without
// knowing the codec (HTTP/1.1 here; HTTP/2 becomes a second ServerStream). Everything runs on one loop's
// thread.
//
// Life of an exchange:
//   Service::on_request(stream, head)  → an Exchange that wants the body, or nullptr if it answered at once
//   Exchange::on_body(body)            → the whole body is there (also for empty ones)
//   stream.respond(...)                  or start(), write()…, finish() | abort()
//   Exchange::on_gone()                → the client left or the connection failed before the answer was
//   complete
// After finish(), abort(), a completed respond() or on_gone() the stream must not be touched, and the
// exchange gets no call.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "http/head.hpp"
#include "net/buffer.hpp"
#include "net/loop.hpp"
#include "net/socket.hpp"

namespace tg::http {

// Header lines as text: "name: value\r\n" each.
class HeaderText {
 public:
  void add(std::string_view name, std::string_view value) {
    text_.append(name).append(": ").append(value).append("\r\n");
  }
  void add(std::string_view name, std::int64_t value);
  // Whole lines, each with its CRLF.
  void add_lines(std::string_view lines) { text_.append(lines); }
  const std::string& str() const { return text_; }
  void clear() { text_.clear(); }

 private:
  std::string text_;
};

enum class Framing {
  chunked,  // on HTTP/1.0: until close
  length,   // the caller states the length
};

class ServerStream {
 public:
  // A whole answer. Connection and Content-Length are added; `headers` holds the rest. The bytes are copied
  // if the socket does not take them at once.
  virtual void respond(int status, std::string_view headers, std::string_view body) = 0;

  // A streamed answer. The head is sent together with the first write, or by flush().
  virtual void start(int status, std::string_view headers, Framing framing, std::uint64_t length = 0) = 0;
  // Payload parts, sent as one chunk. Never blocks: what the socket does not take is copied; ask blocked()
  // then.
  virtual void write(const std::string_view* parts, std::size_t count) = 0;
  void write(std::string_view part) { write(&part, 1); }
  // Bytes that carry chunk framing already (whole chunks, without the last one). Only if takes_chunks().
  virtual void write_chunks(std::string_view framed) = 0;
  virtual bool takes_chunks() const = 0;
  virtual void flush() = 0;
  // Ends a started answer: with the last chunk, in the same segment as `framed` if that is not empty.
  virtual void finish(std::string_view framed = {}) = 0;
  // write() and finish() in one: the payload's chunk and the last one leave in the same segment.
  virtual void finish_with(const std::string_view* parts, std::size_t count) = 0;
  // Ends it so that the client sees a truncation: closes without the last chunk. Pending bytes are still
  // sent.
  virtual void abort() = 0;

  // True while more bytes wait for the client than the high watermark (32 KiB); Exchange::on_writable follows
  // at the low one (16 KiB).
  virtual bool blocked() const = 0;
  // Bytes of answer accepted but not yet taken by the kernel.
  virtual std::size_t pending() const = 0;
  // How long the client may take nothing while bytes wait for it, for this answer.
  virtual void set_write_stall(Nanos stall) = 0;
  virtual bool started() const = 0;
  virtual bool http11() const = 0;
  virtual bool head_method() const = 0;  // HEAD: heads only
  virtual net::Loop& loop() = 0;

 protected:
  ~ServerStream() = default;
};

class Exchange {
 public:
  virtual void on_body(net::Buffer body) = 0;
  virtual void on_gone() = 0;
  virtual void on_writable() {}

 protected:
  ~Exchange() = default;
};

class Service {
 public:
  virtual ~Service() = default;
  // `head` is valid during the call only. Returning nullptr means the request was answered with
  // stream.respond().
  virtual Exchange* on_request(ServerStream& stream, const RequestHead& head) = 0;
  // The answer to bytes that are no request. `reason` names the rule that was broken.
  virtual void on_bad_request(int status, std::string_view reason, HeaderText& headers,
                              std::string& body) = 0;
};

struct ServerOptions {
  std::uint64_t max_body = 4 << 20;
  Nanos head_timeout = 30 * kSecond;      // a head must be complete this long after its first byte
  Nanos body_timeout = 30 * kSecond;      // between two reads of a body
  Nanos keep_alive = 75 * kSecond;        // idle between requests
  Nanos write_stall = 30 * kSecond;       // no progress towards a client that has bytes waiting
  std::size_t max_connections = 100'000;  // beyond: turned away with 503
};

class Http1Connection;

// All connections of one loop for one service. Owns them.
class Server {
 public:
  Server(net::Loop& loop, Service& service, ServerOptions options);
  ~Server();

  // Takes a listening socket.
  void listen(Fd listener);
  // Stops accepting (what is in the backlog is accepted first), closes idle connections, lets the others
  // finish their exchange; `done` is called once no connection is left.
  void drain(std::function<void()> done);
  // Closes every connection at once; open exchanges are told that their client is gone.
  void cut_all();
  // The same without a word to them: their owner is at its end.
  void close_all();

  std::size_t connections() const {
    return count_.load(std::memory_order_relaxed);
  }  // any thread, all of them
  const ServerOptions& options() const { return options_; }
  void set_max_connections(std::size_t n) { options_.max_connections = n; }

 private:
  friend class Http1Connection;
  class Acceptor;
  void accepted(Fd fd);
  void closed(Http1Connection* connection);

  net::Loop& loop_;
  Service& service_;
  ServerOptions options_;
  RequestHead head_;  // parse result, refilled for each request
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  Http1Connection* first_ = nullptr;   // intrusive list
  std::atomic<std::size_t> count_{0};  // written by this thread only
  std::size_t turned_away_ = 0;        // of them: beyond the limit, on their way out
  bool draining_ = false;
  std::function<void()> drained_;
};

}  // namespace tg::http
