// The client side: HTTP/1.1 connections to upstreams and their pools. One Upstreams per loop, used on its
// thread only.
//
// An attempt: acquire() a connection, send() the request, then events arrive on the ClientEvents given to
// acquire():
//   on_head, on_data (…, the last one with part.last), or on_failure at any point. After the last data,
//   on_failure or cancel() the connection is no longer the caller's. Request bytes must stay valid until
//   then, or until all_sent(): an upstream may begin its answer before it has read the whole request.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "http/chunked.hpp"
#include "http/head.hpp"
#include "net/loop.hpp"
#include "net/resolver.hpp"
#include "net/socket.hpp"
#include "net/tls.hpp"

namespace tg::http {

// Whom to speak to. Immutable, shared by all loops.
struct Target {
  std::string host;
  std::uint16_t port = 80;
  bool tls = false;
  Nanos connect_timeout = 2 * kSecond;
  Nanos tls_timeout = 5 * kSecond;
  Nanos idle_timeout = 4 * kSecond;  // uvicorn closes idle connections after 5 s
  std::size_t max_idle = 256;        // per loop
};

struct BodyPart {
  const std::string_view* payload = nullptr;  // spans of body bytes, framing removed
  std::size_t count = 0;
  // With whole_chunks: the same bytes as they came, chunk heads included, the last chunk not.
  std::string_view framed;
  bool whole_chunks = false;
  bool last = false;
};

enum class Failure {
  resolve,  // the name has no address
  connect,  // refused, unreachable
  connect_timeout,
  tls,  // handshake or certificate
  tls_timeout,
  unanswered,  // closed before a byte of the answer; see reused()
  cut,         // closed inside the answer
  malformed,   // not HTTP as we accept it
};

struct FailureDetail {
  std::string_view text;   // for logs: it names hosts
  std::string_view cause;  // of a failed TLS session, in a constant phrase that names nothing; else empty
};

class ClientEvents {
 public:
  virtual void on_head(const ResponseHead& head) = 0;
  virtual void on_data(const BodyPart& part) = 0;
  virtual void on_failure(Failure failure, const FailureDetail& detail) = 0;

 protected:
  ~ClientEvents() = default;
};

class Upstreams;
class ClientConnection;

// The connections of one loop to one target. Lives as long as there is one.
struct ConnectionPool {
  std::vector<ClientConnection*> idle;  // newest last
  std::size_t connections = 0;          // idle ones included
};

class ClientConnection final : public net::Handler, private net::Timer {
 public:
  void on_events(std::uint32_t events) override;

  // `head_request`: the answer has no body.
  void send(const std::string_view* parts, std::size_t count, bool head_request = false);
  // Closes at once: the upstream sees the end of the connection and stops working for nobody.
  void cancel();
  // Stops and restarts reading (back-pressure from the client's side).
  void pause() { paused_ = true; }
  void resume();
  bool reused() const { return reused_; }
  // True once the request, or its first byte, may have reached the peer.
  bool sent() const { return sent_; }
  // True once the kernel has every byte of the request.
  bool all_sent() const { return sent_ && unsent_.empty(); }

 private:
  friend class Upstreams;
  enum class State : std::uint8_t { resolving, connecting, handshake, sending, head, body, idle, closed };

  ClientConnection(Upstreams& owner, std::shared_ptr<const Target> target, ConnectionPool& pool);
  void on_timer(Nanos now) override;
  void resolved(const Result<std::vector<net::Address>>& addresses);
  void try_next_address(std::string_view why);
  void connected();
  void continue_handshake();
  void continue_send();
  void read();
  bool take(std::string_view bytes);
  bool take_body(std::string_view bytes);
  void answer_complete(bool surplus);
  void fail(Failure failure, std::string_view text, std::string_view cause = {});
  void close();
  void cancel_timer();
  net::Io read_io(char* out, std::size_t room);
  net::Io write_io(const iovec* parts, int count);

  Upstreams& owner_;
  std::shared_ptr<const Target> target_;
  ConnectionPool& pool_;
  ClientEvents* events_ = nullptr;
  ClientEvents* deferred_events_ = nullptr;  // of a failure that is reported from the loop
  Fd fd_;
  std::unique_ptr<net::TlsSession> tls_;
  std::vector<net::Address> addresses_;
  std::vector<std::string_view> unsent_;
  net::Buffer in_;  // an incomplete response head
  ChunkDecoder decoder_;
  std::uint64_t left_ = 0;
  std::size_t scanned_ = 0;
  std::size_t next_address_ = 0;
  Nanos idle_until_ = 0;     // the timer looks at it when it fires, so that reuse costs no timer call
  std::uint64_t token_ = 0;  // tells a late resolver answer from a current one
  State state_ = State::resolving;
  bool reused_ = false;
  bool sent_ = false;
  bool answered_ = false;  // a byte of the answer came
  bool head_request_ = false;
  bool chunked_ = false;
  bool until_close_ = false;
  bool keep_alive_ = false;
  bool paused_ = false;
  bool readable_ = false;
  bool reading_ = false;
  bool hung_up_ = false;
  bool write_failed_ = false;
};

class Upstreams {
 public:
  Upstreams(net::Loop& loop, net::Resolver& resolver);
  ~Upstreams();

  // An idle connection, or a new one (then connecting goes on behind the scenes). `fresh`: never an idle one.
  ClientConnection* acquire(const std::shared_ptr<const Target>& target, ClientEvents& events,
                            bool fresh = false);

  // Made at first use: most setups on one machine speak plain HTTP only.
  net::TlsContext& tls();
  net::Loop& loop() { return loop_; }
  std::size_t open() const { return connections_.size(); }
  // Closes idle connections (drain).
  void close_idle();

 private:
  friend class ClientConnection;
  void put_idle(ClientConnection& connection);

  net::Loop& loop_;
  net::Resolver& resolver_;
  std::unique_ptr<net::TlsContext> tls_;
  ResponseHead head_;                       // parse result, refilled for each answer
  std::array<std::string_view, 64> spans_;  // payload of one read, refilled for each
  std::unordered_map<ClientConnection*, std::unique_ptr<ClientConnection>> connections_;
  std::unordered_map<const Target*, ConnectionPool> pools_;
  std::uint64_t next_token_ = 1;
  std::unordered_map<std::uint64_t, ClientConnection*> resolving_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tg::http
