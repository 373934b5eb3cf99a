#include "http/server.hpp"

#include <fmt/format.h>

#include <cerrno>

#include "http/server_connection.hpp"

namespace tg::http {

namespace {
// Connections beyond the limit that are kept at a time until their client has its 503. Others get it as well,
// but what they send meanwhile may reset it away.
constexpr std::size_t kMaxTurnedAway = 16;
}  // namespace

void HeaderText::add(std::string_view name, std::int64_t value) {
  fmt::format_to(std::back_inserter(text_), "{}: {}\r\n", name, value);
}

// Accepts until the kernel says "again". A full descriptor table does not spin: the listener is level
// triggered only in the sense that the next connection or the next freed one calls accept again.
class Server::Acceptor final : public net::Handler, private net::Timer {
 public:
  Acceptor(Server& server, Fd fd) : server_(server), fd_(std::move(fd)) {}

  void on_events(std::uint32_t) override { accept_all(); }
  void accept_all() {
    for (;;) {
      const int fd = ::accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        server_.accepted(Fd(fd));
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        server_.loop_.arm_after(*this, 100 * kMillisecond);
        return;
      } else if (errno != EINTR && errno != ECONNABORTED) {
        return;
      }
    }
  }
  int fd() const { return fd_.get(); }

 private:
  void on_timer(Nanos) override { accept_all(); }
  Server& server_;
  Fd fd_;
};

Server::Server(net::Loop& loop, Service& service, ServerOptions options)
    : loop_(loop), service_(service), options_(options) {}

Server::~Server() {
  for (auto& acceptor : acceptors_) {
    loop_.remove(acceptor->fd());
    loop_.retire(std::move(acceptor));
  }
  close_all();
}

void Server::listen(Fd listener) {
  const int fd = listener.get();
  acceptors_.push_back(std::make_unique<Acceptor>(*this, std::move(listener)));
  loop_.add(fd, *acceptors_.back(), EPOLLIN | EPOLLET);
}

void Server::accepted(Fd fd) {
  const bool no_room = connections() - turned_away_ >= options_.max_connections;
  net::set_no_delay(fd.get());
  const int raw = fd.get();
  auto* connection = new Http1Connection(*this, std::move(fd));  // owned by the list below, see closed()
  connection->next = first_;
  connection->back = &first_;
  if (first_ != nullptr) first_->back = &connection->next;
  first_ = connection;
  count_.store(connections() + 1, std::memory_order_relaxed);
  loop_.add(raw, *connection);
  if (!no_room) return;
  connection->turned_away = true;
  // Each stays until it has read its answer, so their number is bounded too.
  connection->turn_away(++turned_away_ <= kMaxTurnedAway);
}

void Server::closed(Http1Connection* connection) {
  *connection->back = connection->next;
  if (connection->next != nullptr) connection->next->back = connection->back;
  count_.store(connections() - 1, std::memory_order_relaxed);
  if (connection->turned_away) --turned_away_;
  loop_.retire(std::unique_ptr<net::Handler>(connection));
  if (draining_ && connections() == 0 && drained_) loop_.defer(std::exchange(drained_, nullptr));
}

void Server::drain(std::function<void()> done) {
  for (auto& acceptor : acceptors_) {
    acceptor->accept_all();
    loop_.remove(acceptor->fd());
    loop_.retire(std::move(acceptor));
  }
  acceptors_.clear();
  draining_ = true;
  drained_ = std::move(done);
  for (Http1Connection* c = first_; c != nullptr;) {
    Http1Connection* following = c->next;
    c->drain();
    c = following;
  }
  if (connections() == 0 && drained_) loop_.defer(std::exchange(drained_, nullptr));
}

void Server::cut_all() {
  while (first_ != nullptr) first_->cut();
}

void Server::close_all() {
  while (first_ != nullptr) first_->close();
}

}  // namespace tg::http
