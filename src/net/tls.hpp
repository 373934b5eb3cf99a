// TLS towards upstreams by OpenSSL: certificates verified against the system's roots, server name sent,
// sessions reused. One TlsContext per loop (OpenSSL 3.0's locks do not scale over threads).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "net/socket.hpp"

namespace tg::net {

class TlsSession;

class TlsContext {
 public:
  TlsContext();
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // A client session on a connected descriptor (not owned). `host` is verified and sent as server name.
  std::unique_ptr<TlsSession> connect(int fd, const std::string& host);

 private:
  friend class TlsSession;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class TlsSession {
 public:
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // ok = done, again = wait for the descriptor, error = error() says why.
  Io handshake();
  Io read(char* out, std::size_t room);
  Io write(const iovec* parts, int count);
  const std::string& error() const { return error_; }
  // The same in a constant phrase about the peer ("its certificate has expired"), without names or addresses;
  // empty without an error.
  std::string_view cause() const { return cause_; }
  bool resumed() const;

 private:
  friend class TlsContext;
  TlsSession(TlsContext::Impl& context, int fd, std::string host);
  Io outcome(int result, const char* step);
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::string error_;
  std::string_view cause_;
};

}  // namespace tg::net
