#include "http/client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <system_error>

namespace tg::http {

namespace {
constexpr std::size_t kMaxParts = 24;
// Bytes read from one connection before others get their turn.
constexpr std::size_t kReadQuota = 256 * 1024;
}  // namespace

// ---- Upstreams
// ---------------------------------------------------------------------------------------------------

Upstreams::Upstreams(net::Loop& loop, net::Resolver& resolver) : loop_(loop), resolver_(resolver) {}

Upstreams::~Upstreams() {
  *alive_ = false;
  while (!connections_.empty()) connections_.begin()->first->close();
}

net::TlsContext& Upstreams::tls() {
  if (tls_ == nullptr) tls_ = std::make_unique<net::TlsContext>();
  return *tls_;
}

ClientConnection* Upstreams::acquire(const std::shared_ptr<const Target>& target, ClientEvents& events,
                                     bool fresh) {
  ConnectionPool& pool = pools_[target.get()];
  if (!fresh && !pool.idle.empty()) {
    ClientConnection* connection = pool.idle.back();
    pool.idle.pop_back();
    connection->events_ = &events;
    connection->reused_ = true;
    connection->state_ = ClientConnection::State::sending;
    connection->sent_ = connection->answered_ = connection->paused_ = false;
    return connection;
  }
  ++pool.connections;
  auto owned = std::unique_ptr<ClientConnection>(new ClientConnection(*this, target, pool));
  ClientConnection* connection = owned.get();
  connection->events_ = &events;
  connections_.emplace(connection, std::move(owned));
  connection->token_ = next_token_++;
  resolving_.emplace(connection->token_, connection);
  resolver_.resolve(
      loop_, target->host, target->port,
      [this, alive = alive_, token = connection->token_](const Result<std::vector<net::Address>>& addresses) {
        if (!*alive) return;
        const auto found = resolving_.find(token);
        if (found == resolving_.end()) return;
        ClientConnection* waiting = found->second;
        resolving_.erase(found);
        waiting->resolved(addresses);
      });
  return connection;
}

void Upstreams::put_idle(ClientConnection& connection) {
  ConnectionPool& pool = connection.pool_;
  if (pool.idle.size() >= connection.target_->max_idle) {
    connection.close();
    return;
  }
  connection.state_ = ClientConnection::State::idle;
  pool.idle.push_back(&connection);
  connection.idle_until_ = loop_.now() + connection.target_->idle_timeout;
  if (!connection.armed()) loop_.timers().arm(connection, connection.idle_until_);
}

void Upstreams::close_idle() {
  std::vector<ClientConnection*> idle;
  for (const auto& [target, pool] : pools_) idle.insert(idle.end(), pool.idle.begin(), pool.idle.end());
  for (ClientConnection* connection : idle) connection->close();
}

// ---- ClientConnection
// --------------------------------------------------------------------------------------------

ClientConnection::ClientConnection(Upstreams& owner, std::shared_ptr<const Target> target,
                                   ConnectionPool& pool)
    : owner_(owner), target_(std::move(target)), pool_(pool) {}

void ClientConnection::resolved(const Result<std::vector<net::Address>>& addresses) {
  if (!addresses) {
    fail(Failure::resolve, addresses.error().message);
    return;
  }
  addresses_ = *addresses;
  next_address_ = 0;
  try_next_address("no address");
}

void ClientConnection::try_next_address(std::string_view why) {
  if (fd_) {
    owner_.loop_.remove(fd_.get());
    fd_.reset();
  }
  while (next_address_ < addresses_.size()) {
    auto fd = net::connect_tcp(addresses_[next_address_++]);
    if (!fd) continue;
    fd_ = std::move(*fd);
    state_ = State::connecting;
    owner_.loop_.arm_after(*this, target_->connect_timeout);
    owner_.loop_.add(fd_.get(), *this);
    return;
  }
  fail(Failure::connect, why);
}

void ClientConnection::on_timer(Nanos now) {
  switch (state_) {
    case State::connecting:
      fail(Failure::connect_timeout,
           fmt::format("no connection within {} ms", target_->connect_timeout / kMillisecond));
      break;
    case State::handshake:
      fail(Failure::tls_timeout,
           fmt::format("no TLS session within {} ms", target_->tls_timeout / kMillisecond));
      break;
    case State::idle:
      if (now < idle_until_) {
        owner_.loop_.timers().arm(*this, idle_until_);  // it was used meanwhile
      } else {
        close();
      }
      break;
    default:
      break;
  }
}

void ClientConnection::on_events(std::uint32_t events) {
  if (state_ == State::connecting) {
    if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0) return;
    const int err = net::connect_error(fd_.get());
    if (err != 0) {
      try_next_address(std::generic_category().message(err));
    } else {
      connected();
    }
    return;
  }
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) hung_up_ = true;
  if (state_ == State::idle) {
    close();  // end of file or stray bytes: never to be used again
    return;
  }
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) readable_ = true;
  if (state_ == State::handshake) {
    continue_handshake();
    return;
  }
  if ((events & EPOLLOUT) != 0 && !unsent_.empty()) continue_send();
  if (readable_ && state_ != State::closed) read();
}

void ClientConnection::connected() {
  if (target_->tls) {
    state_ = State::handshake;
    tls_ = owner_.tls().connect(fd_.get(), target_->host);
    owner_.loop_.arm_after(*this, target_->tls_timeout);
    continue_handshake();
    return;
  }
  cancel_timer();
  state_ = State::sending;
  continue_send();
}

void ClientConnection::continue_handshake() {
  const net::Io io = tls_->handshake();
  if (io.kind == net::Io::again) return;
  if (io.kind == net::Io::error) {
    fail(Failure::tls, tls_->error(), tls_->cause());
    return;
  }
  cancel_timer();
  state_ = State::sending;
  continue_send();
}

net::Io ClientConnection::read_io(char* out, std::size_t room) {
  return tls_ ? tls_->read(out, room) : net::read_some(fd_.get(), out, room);
}

net::Io ClientConnection::write_io(const iovec* parts, int count) {
  return tls_ ? tls_->write(parts, count) : net::write_some(fd_.get(), parts, count);
}

void ClientConnection::send(const std::string_view* parts, std::size_t count, bool head_request) {
  head_request_ = head_request;
  unsent_.assign(parts, parts + count);
  if (state_ == State::sending) continue_send();
}

void ClientConnection::continue_send() {
  if (unsent_.empty()) return;
  while (!unsent_.empty()) {
    std::array<iovec, kMaxParts> parts;
    const std::size_t n = std::min(unsent_.size(), kMaxParts);
    for (std::size_t i = 0; i < n; ++i) parts[i] = {const_cast<char*>(unsent_[i].data()), unsent_[i].size()};
    const net::Io io = write_io(parts.data(), static_cast<int>(n));
    if (io.kind == net::Io::again) return;
    if (io.kind != net::Io::ok) {
      // The peer may have answered before it closed (413, 401): what it said is read first.
      unsent_.clear();
      readable_ = true;
      hung_up_ = true;
      write_failed_ = true;
      if (state_ == State::sending) state_ = State::head;
      owner_.loop_.defer([this] {
        if (state_ == State::head || state_ == State::body) read();
      });
      return;
    }
    sent_ = true;
    std::size_t gone = io.n;
    std::size_t done = 0;
    while (done < unsent_.size() && gone >= unsent_[done].size()) gone -= unsent_[done++].size();
    unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<std::ptrdiff_t>(done));
    if (gone > 0) unsent_.front().remove_prefix(gone);
  }
  if (state_ == State::sending) {
    state_ = State::head;
    scanned_ = 0;
    if (readable_) {
      owner_.loop_.defer([this] {
        if (state_ == State::head) read();
      });
    }
  }
}

void ClientConnection::resume() {
  if (!paused_) return;
  paused_ = false;
  if (readable_) {
    owner_.loop_.defer([this] {
      if (!paused_ && (state_ == State::head || state_ == State::body)) read();
    });
  }
}

void ClientConnection::read() {
  if (reading_) return;
  // An early answer while the request is still being sent: switch to reading it.
  if (state_ == State::sending) state_ = State::head;
  reading_ = true;
  std::size_t quota = kReadQuota;
  while (readable_ && !paused_ && (state_ == State::head || state_ == State::body)) {
    char* scratch = owner_.loop_.scratch();
    const net::Io io = read_io(scratch, net::Loop::kScratch);
    if (io.kind == net::Io::ok) {
      if (!tls_ && io.n < net::Loop::kScratch && !hung_up_) readable_ = false;
      answered_ = true;
      if (!take({scratch, io.n})) break;
      if (io.n >= quota) {
        // Let others run; the rest is still in the socket.
        owner_.loop_.defer([this] {
          if (!paused_ && (state_ == State::head || state_ == State::body)) read();
        });
        break;
      }
      quota -= io.n;
      continue;
    }
    readable_ = false;
    if (io.kind == net::Io::again) break;
    // A write that failed took the reset's error away, so that what follows looks like an orderly end.
    if (state_ == State::body && until_close_ && io.kind == net::Io::eof && !write_failed_) {
      BodyPart part;
      part.last = true;
      ClientEvents* events = std::exchange(events_, nullptr);
      close();
      events->on_data(part);
      break;
    }
    if (answered_) {
      fail(Failure::cut, "the upstream closed the connection inside its answer");
    } else {
      fail(Failure::unanswered, "the upstream closed the connection without an answer");
    }
  }
  reading_ = false;
}

// False: stop reading (finished, failed or cancelled).
bool ClientConnection::take(std::string_view bytes) {
  while (state_ == State::head) {
    std::string_view whole = bytes;
    if (!in_.empty()) {
      in_.append(owner_.loop_.buffers(), bytes);
      whole = in_.view();
    }
    std::size_t end = 0;
    ParseError error;
    const ParseStatus status = find_head_end(whole, scanned_, end, error);
    if (status == ParseStatus::incomplete) {
      if (in_.empty()) in_.append(owner_.loop_.buffers(), bytes);
      return true;
    }
    ResponseHead& head = owner_.head_;
    if (status == ParseStatus::error || !parse_response_head(whole.substr(0, end), head, error)) {
      fail(Failure::malformed, error.reason);
      return false;
    }
    scanned_ = 0;
    if (head.status < 200) {
      if (head.status == 101) {
        fail(Failure::malformed, "the upstream switched protocols unasked");
        return false;
      }
      // An interim answer: skipped. What follows is copied to a place of its own if it stood in in_.
      if (in_.empty()) {
        bytes.remove_prefix(end);
      } else {
        in_.consume(end);
        bytes = {};
        if (in_.empty()) in_.release();
      }
      if (bytes.empty() && in_.empty()) return true;
      if (!in_.empty()) {
        const net::Buffer kept = std::move(in_);
        in_ = net::Buffer();
        return take(kept.view());
      }
      continue;
    }
    chunked_ = head.chunked && !head_request_;
    until_close_ = head.until_close && !head_request_;
    left_ = head_request_ ? 0 : head.length;
    keep_alive_ = head.keep_alive;
    decoder_.reset();
    state_ = State::body;
    const net::Buffer kept = std::move(in_);
    in_ = net::Buffer();
    events_->on_head(head);
    if (state_ != State::body) return false;
    bytes = whole.substr(end);
    return take_body(bytes);
  }
  return state_ == State::body && take_body(bytes);
}

bool ClientConnection::take_body(std::string_view bytes) {
  BodyPart part;
  if (!chunked_) {
    std::string_view payload = bytes;
    bool surplus = false;
    if (!until_close_) {
      if (payload.size() > left_) {
        payload = payload.substr(0, static_cast<std::size_t>(left_));
        surplus = true;
      }
      left_ -= payload.size();
      part.last = left_ == 0;
    }
    if (payload.empty() && !part.last) return true;
    part.payload = &payload;
    part.count = payload.empty() ? 0 : 1;
    if (!part.last) {
      events_->on_data(part);
      return state_ == State::body;
    }
    ClientEvents* events = std::exchange(events_, nullptr);
    answer_complete(surplus);
    events->on_data(part);
    return false;
  }

  // Chunked: collect the spans of this read and see whether it consists of whole chunks.
  auto& spans = owner_.spans_;
  while (true) {
    const char* const begin = bytes.data();
    const bool starts_clean = decoder_.at_boundary();
    decoder_.clear_boundary();
    std::size_t count = 0;
    auto status = ChunkDecoder::Status::more;
    while (!bytes.empty() && count < spans.size() && status == ChunkDecoder::Status::more) {
      std::string_view payload;
      status = decoder_.next(bytes, payload);
      if (!payload.empty()) spans[count++] = payload;
    }
    if (status == ChunkDecoder::Status::error) {
      fail(Failure::malformed, decoder_.error());
      return false;
    }
    part = BodyPart{};
    part.payload = spans.data();
    part.count = count;
    part.last = status == ChunkDecoder::Status::done;
    const char* const boundary = decoder_.boundary();
    if (starts_clean && boundary != nullptr && (part.last || (bytes.empty() && decoder_.at_boundary()))) {
      part.framed = {begin, static_cast<std::size_t>(boundary - begin)};
      part.whole_chunks = true;
    }
    if (part.last) {
      ClientEvents* events = std::exchange(events_, nullptr);
      answer_complete(!bytes.empty());
      events->on_data(part);
      return false;
    }
    if (count > 0) {
      events_->on_data(part);
      if (state_ != State::body) return false;
    }
    if (bytes.empty()) return true;
  }
}

// The connection goes back to its pool before the caller sees the end, so that a next request may use it at
// once.
void ClientConnection::answer_complete(bool surplus) {
  if (surplus || !keep_alive_ || !unsent_.empty() || hung_up_) {
    close();
    return;
  }
  in_.release();
  owner_.put_idle(*this);
}

void ClientConnection::fail(Failure failure, std::string_view detail, std::string_view cause) {
  if (state_ == State::closed) return;
  ClientEvents* events = std::exchange(events_, nullptr);
  const std::string text(detail);
  // A failure that is known at once would reach the caller inside acquire(): it is reported from the loop.
  const bool inside_acquire = state_ == State::resolving;
  close();
  if (events == nullptr) return;
  if (inside_acquire) {
    deferred_events_ = events;
    owner_.loop_.defer([this, failure, text, cause] {
      if (deferred_events_ != nullptr)
        std::exchange(deferred_events_, nullptr)->on_failure(failure, {text, cause});
    });
    return;
  }
  events->on_failure(failure, {text, cause});
}

void ClientConnection::cancel() {
  events_ = nullptr;
  deferred_events_ = nullptr;
  close();
}

void ClientConnection::cancel_timer() { net::Timer::cancel(); }

void ClientConnection::close() {
  if (state_ == State::closed) return;
  if (state_ == State::idle) std::erase(pool_.idle, this);
  if (token_ != 0) owner_.resolving_.erase(token_);
  state_ = State::closed;
  cancel_timer();
  in_.release();
  unsent_.clear();
  tls_.reset();
  if (fd_) {
    owner_.loop_.remove(fd_.get());
    fd_.reset();
  }
  const auto it = owner_.connections_.find(this);
  if (it != owner_.connections_.end()) {
    std::unique_ptr<ClientConnection> self = std::move(it->second);
    owner_.connections_.erase(it);
    if (--pool_.connections == 0) owner_.pools_.erase(target_.get());
    owner_.loop_.retire(std::move(self));
  }
}

}  // namespace tg::http
