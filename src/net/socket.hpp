// TCP and Unix sockets, non-blocking, close-on-exec. Errors are values with the address in them.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/fd.hpp"

namespace tg::net {

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  std::string str() const;  // "127.0.0.1:4000", "[::1]:4000"
  std::uint16_t port() const;
};

// "127.0.0.1:4000", "[::1]:0", ":4000" (all addresses). Numeric hosts and "localhost" only.
Result<Address> parse_address(std::string_view text);
// A numeric host with a port; fails for names.
Result<Address> numeric_address(std::string_view host, std::uint16_t port);

// `reuse_port`: several listeners share the address (one per worker).
Result<Fd> listen_tcp(const Address& address, bool reuse_port);
Result<Fd> listen_unix(const std::string& path);  // replaces a stale socket file; mode 0600
Result<Address> local_address(int fd);

// Starts a connection; completion shows as EPOLLOUT, then connect_error().
Result<Fd> connect_tcp(const Address& address);
int connect_error(int fd);  // SO_ERROR

void set_no_delay(int fd);

// The outcome of one read or write.
struct Io {
  enum Kind { ok, again, eof, error } kind;
  std::size_t n = 0;
  int err = 0;
};

Io read_some(int fd, char* out, std::size_t room);
Io write_some(int fd, const iovec* parts, int count);

}  // namespace tg::net
