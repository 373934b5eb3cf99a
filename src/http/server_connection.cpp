#include "http/server_connection.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "base/pen.hpp"

namespace tg::http {

namespace {
constexpr std::size_t kFirstRead =
    16 * 1024;  // one recv for a small request; the rest of a large one goes to its buffer
constexpr std::size_t kHighWater = 32 * 1024;  // more than this waiting: blocked()
constexpr std::size_t kLowWater = 16 * 1024;   // on_writable when this little is left
constexpr Nanos kLinger = 2 * kSecond;
constexpr std::size_t kMaxPipelined = kMaxHead + 64 * 1024;

iovec part_of(std::string_view text) { return {const_cast<char*>(text.data()), text.size()}; }

// Room for a status line and the fields that respond() and start() add.
constexpr std::size_t kOwnFields = 192;

void put_status_line(Pen& pen, int status) {
  pen.put("HTTP/1.1 ");
  pen.put_number(status);
  pen.put(" ");
  pen.put(status_text(status));
  pen.put("\r\n");
}
}  // namespace

Http1Connection::Http1Connection(Server& server, Fd fd) : server_(server), fd_(std::move(fd)) {
  write_stall_ = server_.options_.write_stall;
  set_deadline(server_.options_.keep_alive);
}

// The timer looks at the deadline when it fires, so moving a deadline later costs one store.
void Http1Connection::set_deadline(Nanos delay) {
  deadline_ = server_.loop_.now() + delay;
  if (armed() && armed_for_ <= deadline_) return;
  armed_for_ = deadline_;
  server_.loop_.timers().arm(*this, deadline_);
}

void Http1Connection::on_timer(Nanos now) {
  if (state_ == State::closed) return;
  if (state_ == State::busy && out_.empty()) {
    // Nothing is owed to the client's speed while the exchange works; look again later.
    deadline_ = now + write_stall_;
  }
  if (now < deadline_) {
    armed_for_ = deadline_;
    server_.loop_.timers().arm(*this, deadline_);
    return;
  }
  switch (state_) {
    case State::head:
      if (in_.empty()) {
        close();
      } else {
        refuse(408, "the request head did not arrive in time");
      }
      break;
    case State::body:
      refuse(408, "the request body stalled (requestBody)");
      break;
    case State::busy:
    case State::closing:
      gone();
      break;  // clientStalled
    case State::linger:
      close();
      break;
    case State::closed:
      break;
  }
}

void Http1Connection::on_events(std::uint32_t events) {
  if ((events & (EPOLLERR | EPOLLHUP)) != 0 && (state_ == State::busy || state_ == State::closing)) {
    gone();
    return;
  }
  if ((events & EPOLLRDHUP) != 0) peer_closed_ = true;
  if ((events & EPOLLOUT) != 0 && !out_.empty()) {
    continue_output();
    if (state_ == State::closed) return;
  }
  if ((events & (EPOLLIN | EPOLLRDHUP)) != 0) {
    readable_ = true;
    // A client that closes its side with a request open has gone: half-close is not supported.
    if (state_ == State::busy && peer_closed_) {
      gone();
      return;
    }
    read();
  }
}

void Http1Connection::read() {
  if (reading_) return;
  reading_ = true;
  while (readable_ && state_ != State::closed) {
    if (state_ == State::busy || state_ == State::closing) break;  // later requests wait in the socket
    net::Io io{};
    if (state_ == State::body && !chunked_body_) {
      // A body of known length is read straight into its place.
      const std::size_t room = static_cast<std::size_t>(std::min<std::uint64_t>(body_left_, 1 << 20));
      io = net::read_some(fd_.get(), body_.data() + body_.size(), room);
      if (io.kind == net::Io::ok) {
        body_.add_size(io.n);
        body_left_ -= io.n;
        set_deadline(server_.options_.body_timeout);
        if (body_left_ == 0) body_complete();
        continue;
      }
    } else {
      char* scratch = server_.loop_.scratch();
      io = net::read_some(fd_.get(), scratch, kFirstRead);
      if (io.kind == net::Io::ok) {
        // A short read on an edge-triggered socket has emptied it, unless a FIN stands behind it.
        if (io.n < kFirstRead && !peer_closed_) readable_ = false;
        if (!take_bytes({scratch, io.n})) break;
        continue;
      }
    }
    readable_ = false;
    if (io.kind == net::Io::again) break;
    // End of file or a reset: between requests this is the normal end.
    gone();
  }
  reading_ = false;
}

bool Http1Connection::take_bytes(std::string_view bytes) {
  auto& pool = server_.loop_.buffers();
  switch (state_) {
    case State::linger:
      return true;  // thrown away
    case State::body:
      set_deadline(server_.options_.body_timeout);
      if (!take_body(bytes)) return false;
      if (!bytes.empty()) in_.append(pool, bytes);
      return state_ != State::closed;
    case State::head:
      break;
    default:
      return false;
  }
  if (in_.empty()) {
    // The common case works on the scratch block and copies only what is left over.
    std::size_t end = 0;
    scanned_ = 0;
    ParseError error;
    const ParseStatus status = find_head_end(bytes, scanned_, end, error);
    if (status == ParseStatus::complete) {
      RequestHead& head = server_.head_;
      if (!parse_request_head(bytes.substr(0, end), head, error)) {
        refuse(error.status, error.reason);
        return false;
      }
      begin_body(bytes.substr(end));
      return state_ == State::head || state_ == State::body || state_ == State::linger;
    }
    if (status == ParseStatus::error) {
      refuse(error.status, error.reason);
      return false;
    }
    set_deadline(server_.options_.head_timeout);
    in_.append(pool, bytes);
    return true;
  }
  if (in_.size() + bytes.size() > kMaxPipelined) {
    refuse(431, "the request head is larger than 32 KiB");
    return false;
  }
  in_.append(pool, bytes);
  return read_head();
}

// Parses a head that stands in in_. True: go on reading.
bool Http1Connection::read_head() {
  std::size_t end = 0;
  ParseError error;
  // Empty lines before a request are tolerated by some; here they are errors like every other stray byte.
  const ParseStatus status = find_head_end(in_.view(), scanned_, end, error);
  if (status == ParseStatus::incomplete) return true;
  RequestHead& head = server_.head_;
  if (status == ParseStatus::error || !parse_request_head(in_.view().substr(0, end), head, error)) {
    refuse(error.status, error.reason);
    return false;
  }
  // The views of head and rest must live on while in_ takes what follows this request.
  const net::Buffer kept = std::move(in_);
  in_ = net::Buffer();
  begin_body(kept.view().substr(end));
  return state_ == State::head || state_ == State::body || state_ == State::linger;
}

// `rest`: what came behind the head, the body's first bytes or another request; in_ is empty.
void Http1Connection::begin_body(std::string_view rest) {
  const RequestHead& head = server_.head_;
  http11_ = head.http11;
  keep_alive_ = head.keep_alive && !drain_ && !server_.draining_;
  head_method_ = head.method == "HEAD";
  chunked_body_ = head.chunked;
  body_left_ = head.has_length ? head.length : 0;
  answered_ = answer_started_ = chunked_answer_ = blocked_ = false;
  scanned_ = 0;
  write_stall_ = server_.options_.write_stall;
  if (body_left_ > server_.options_.max_body) {
    refuse(413, "the request body is larger than the limit");
    return;
  }
  const bool has_body = chunked_body_ || body_left_ > 0;
  const bool wants_continue = head.expect_continue && has_body && rest.empty();
  state_ = State::body;
  in_request_ = true;
  exchange_ = server_.service_.on_request(*this, head);
  in_request_ = false;
  if (state_ == State::closed) return;
  auto& pool = server_.loop_.buffers();
  if (!has_body) in_.append(pool, rest);
  if (exchange_ == nullptr) {
    // Answered from the head alone. A body that is still to come is not worth reading.
    if (has_body) {
      keep_alive_ = false;
      if (out_.empty()) ::shutdown(fd_.get(), SHUT_WR);
      state_ = State::linger;
      set_deadline(kLinger);
      return;
    }
    exchange_done();
    return;
  }
  if (wants_continue) {
    const iovec part = part_of("HTTP/1.1 100 Continue\r\n\r\n");
    send(&part, 1);
    if (state_ == State::closed) return;
  }
  if (!has_body) {
    body_complete();
    return;
  }
  set_deadline(server_.options_.body_timeout);
  if (!chunked_body_) body_.reserve(pool, static_cast<std::size_t>(body_left_));
  decoder_.reset();
  if (!rest.empty()) take_body(rest);
}

// Consumes body bytes from the front of `bytes`. False: refused.
bool Http1Connection::take_body(std::string_view& bytes) {
  auto& pool = server_.loop_.buffers();
  if (!chunked_body_) {
    const std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(body_left_, bytes.size()));
    body_.append(pool, bytes.substr(0, n));
    body_left_ -= n;
    bytes.remove_prefix(n);
    if (body_left_ == 0) {
      // What follows belongs to the next request and must be in in_ before the exchange may end this one.
      in_.append(pool, bytes);
      bytes = {};
      body_complete();
    }
    return state_ != State::closed;
  }
  while (!bytes.empty()) {
    std::string_view payload;
    const auto status = decoder_.next(bytes, payload);
    if (status == ChunkDecoder::Status::error) {
      refuse(400, decoder_.error());
      return false;
    }
    if (body_.size() + payload.size() + decoder_.left() > server_.options_.max_body) {
      refuse(413, "the request body is larger than the limit");
      return false;
    }
    body_.append(pool, payload);
    if (status == ChunkDecoder::Status::done) {
      in_.append(pool, bytes);
      bytes = {};
      body_complete();
      return state_ != State::closed;
    }
  }
  return true;
}

void Http1Connection::body_complete() {
  state_ = State::busy;
  deadline_ = server_.loop_.now() + write_stall_;
  if (peer_closed_) {
    gone();  // request and FIN came together: nobody waits for an answer
    return;
  }
  exchange_->on_body(std::move(body_));
}

// An answer to bytes that are no acceptable request; the connection closes.
void Http1Connection::refuse(int status, std::string_view reason) {
  Exchange* exchange = std::exchange(exchange_, nullptr);
  if (exchange != nullptr && !in_request_) exchange->on_gone();
  HeaderText headers;
  std::string body;
  server_.service_.on_bad_request(status, reason, headers, body);
  in_.release();
  body_.release();
  keep_alive_ = false;
  http11_ = true;
  head_method_ = false;
  answered_ = true;
  const std::string head = fmt::format("HTTP/1.1 {} {}\r\n{}connection: close\r\ncontent-length: {}\r\n\r\n",
                                       status, status_text(status), headers.str(), body.size());
  const iovec parts[2] = {part_of(head), part_of(body)};
  state_ = State::linger;
  send(parts, 2);
  if (state_ == State::closed) return;
  // Bytes still in flight would turn into a reset that destroys the answer: say FIN, then read them away.
  if (out_.empty()) ::shutdown(fd_.get(), SHUT_WR);
  set_deadline(kLinger);
}

void Http1Connection::turn_away(bool linger) {
  refuse(503, "too many connections");
  if (!linger) close();
}

void Http1Connection::respond(int status, std::string_view headers, std::string_view body) {
  answered_ = true;
  net::Buffer head;
  head.reserve(server_.loop_.buffers(), headers.size() + kOwnFields);
  Pen pen(head.data());
  put_status_line(pen, status);
  pen.put(headers);
  const bool body_read = !in_request_ || (state_ == State::body && !chunked_body_ && body_left_ == 0);
  if (!keep_alive_ || !body_read) {
    pen.put("connection: close\r\n");
  } else if (!http11_) {
    pen.put("connection: keep-alive\r\n");
  }
  // A 204 must not carry a length, and a 304 only the one of another answer (RFC 9110, 8.6). Both end with
  // their head.
  const bool head_only = status == 204 || status == 304;
  if (!head_only) {
    pen.put("content-length: ");
    pen.put_number(static_cast<std::int64_t>(body.size()));
    pen.put("\r\n");
  }
  pen.put("\r\n");
  const iovec parts[2] = {part_of(pen.text()), part_of(body)};
  send(parts, head_method_ || head_only || body.empty() ? 1 : 2);
  if (!in_request_ && state_ != State::closed) exchange_done();
}

void Http1Connection::start(int status, std::string_view headers, Framing framing, std::uint64_t length) {
  answer_started_ = true;
  chunked_answer_ = framing == Framing::chunked && http11_ && !head_method_;
  if (framing == Framing::chunked && !http11_) keep_alive_ = false;
  head_out_.clear();
  head_out_.reserve(server_.loop_.buffers(), headers.size() + kOwnFields);
  Pen pen(head_out_.data());
  put_status_line(pen, status);
  pen.put(headers);
  if (framing == Framing::chunked) {
    if (http11_) pen.put("transfer-encoding: chunked\r\n");
  } else {
    pen.put("content-length: ");
    pen.put_number(static_cast<std::int64_t>(length));
    pen.put("\r\n");
  }
  if (!keep_alive_) {
    pen.put("connection: close\r\n");
  } else if (!http11_) {
    pen.put("connection: keep-alive\r\n");
  }
  pen.put("\r\n");
  head_out_.add_size(pen.size());
}

void Http1Connection::write(const std::string_view* parts, std::size_t count) {
  send_payload(parts, count, false);
}

void Http1Connection::finish_with(const std::string_view* parts, std::size_t count) {
  answered_ = true;
  send_payload(parts, count, true);
  if (state_ != State::closed) exchange_done();
}

// With the head that still waits; `last`: and with what ends the answer.
void Http1Connection::send_payload(const std::string_view* parts, std::size_t count, bool last) {
  std::array<iovec, 68> out;
  int n = 0;
  std::size_t total = 0;
  char size[Pen::kNumber + 2];
  if (!head_out_.empty()) out[static_cast<std::size_t>(n++)] = part_of(head_out_.view());
  const int first = n;
  if (chunked_answer_) ++n;
  if (count > 64) {
    // More parts than one call takes: several chunks.
    send_payload(parts, 64, false);
    send_payload(parts + 64, count - 64, last);
    return;
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (parts[i].empty()) continue;
    total += parts[i].size();
    out[static_cast<std::size_t>(n++)] = part_of(parts[i]);
  }
  if (total == 0 && !last) return flush();
  if (chunked_answer_ && total == 0) {
    out[static_cast<std::size_t>(first)] = part_of("0\r\n\r\n");
  } else if (chunked_answer_) {
    Pen pen(size);
    pen.put_hex(total);
    pen.put("\r\n");
    out[static_cast<std::size_t>(first)] = part_of(pen.text());
    out[static_cast<std::size_t>(n++)] = part_of(last ? "\r\n0\r\n\r\n" : "\r\n");
  }
  send(out.data(), n);
  head_out_.release();
}

void Http1Connection::write_chunks(std::string_view framed) {
  if (head_out_.empty()) {
    const iovec part = part_of(framed);
    send(&part, 1);
    return;
  }
  const iovec parts[2] = {part_of(head_out_.view()), part_of(framed)};
  send(parts, 2);
  head_out_.release();
}

void Http1Connection::flush() {
  if (head_out_.empty()) return;
  const iovec part = part_of(head_out_.view());
  send(&part, 1);
  head_out_.release();
}

void Http1Connection::finish(std::string_view framed) {
  answered_ = true;
  const iovec parts[3] = {part_of(head_out_.view()), part_of(framed),
                          part_of(chunked_answer_ ? std::string_view("0\r\n\r\n") : std::string_view())};
  send(parts, 3);
  if (state_ != State::closed) exchange_done();
}

void Http1Connection::abort() {
  flush();
  exchange_ = nullptr;
  if (state_ == State::closed) return;
  if (out_.empty()) {
    close();
  } else {
    state_ = State::closing;
  }
}

// The current request is answered: next one, or the end.
void Http1Connection::exchange_done() {
  exchange_ = nullptr;
  answer_started_ = false;
  head_out_.release();
  if (!keep_alive_ || drain_ || peer_closed_) {
    if (out_.empty()) {
      close();
    } else {
      state_ = State::closing;
      set_deadline(write_stall_);
    }
    return;
  }
  state_ = State::head;
  scanned_ = 0;
  deadline_ = server_.loop_.now() + server_.options_.keep_alive;
  if (in_.empty() && !readable_) return;
  // Pipelined requests: answered in order, one at a time, from the loop and not from this stack.
  if (!in_.empty()) set_deadline(server_.options_.head_timeout);
  if (reading_ && in_.empty()) return;  // the read loop goes on by itself
  server_.loop_.defer([this] {
    if (state_ != State::head) return;
    if (!in_.empty() && !read_head()) return;
    if (state_ == State::head || state_ == State::body) read();
  });
}

void Http1Connection::send(const iovec* parts, int count) {
  if (state_ == State::closed) return;
  std::size_t total = 0;
  for (int i = 0; i < count; ++i) total += parts[i].iov_len;
  std::size_t sent = 0;
  if (out_.empty()) {
    const net::Io io = net::write_some(fd_.get(), parts, count);
    if (io.kind == net::Io::error) {
      // Told from the loop: the caller is in the middle of using this stream.
      server_.loop_.defer([this] {
        if (state_ != State::closed) gone();
      });
      return;
    }
    sent = io.n;
    if (sent == total) return;
  }
  auto& pool = server_.loop_.buffers();
  if (out_.empty()) set_deadline(write_stall_);
  for (int i = 0; i < count; ++i) {
    if (sent >= parts[i].iov_len) {
      sent -= parts[i].iov_len;
      continue;
    }
    out_.append(pool, {static_cast<const char*>(parts[i].iov_base) + sent, parts[i].iov_len - sent});
    sent = 0;
  }
  blocked_ = blocked_ || out_.size() > kHighWater;
}

void Http1Connection::continue_output() {
  while (!out_.empty()) {
    const iovec part = part_of(out_.view());
    const net::Io io = net::write_some(fd_.get(), &part, 1);
    if (io.kind == net::Io::again) break;
    if (io.kind == net::Io::error) {
      gone();
      return;
    }
    out_.consume(io.n);
    deadline_ = server_.loop_.now() + write_stall_;
  }
  if (out_.empty()) {
    out_.release();
    if (state_ == State::closing) {
      close();
      return;
    }
    if (state_ == State::linger) ::shutdown(fd_.get(), SHUT_WR);
  }
  if (!blocked_ || out_.size() > kLowWater) return;
  blocked_ = false;
  if (state_ == State::busy && exchange_ != nullptr && !answered_) exchange_->on_writable();
}

void Http1Connection::gone() {
  if (state_ == State::closed) return;
  Exchange* exchange = std::exchange(exchange_, nullptr);
  close();
  if (exchange != nullptr) exchange->on_gone();
}

void Http1Connection::drain() {
  drain_ = true;
  keep_alive_ = false;
  if (state_ == State::head && in_.empty() && out_.empty()) close();
}

void Http1Connection::close() {
  if (state_ == State::closed) return;
  state_ = State::closed;
  cancel();
  server_.loop_.remove(fd_.get());
  fd_.reset();
  in_.release();
  out_.release();
  body_.release();
  head_out_.release();
  server_.closed(this);
}

}  // namespace tg::http
