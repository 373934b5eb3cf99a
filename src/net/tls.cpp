#include "net/tls.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>

#include <cstring>
#include <unordered_map>

namespace tg::net {

namespace {
struct SessionDeleter {
  void operator()(SSL_SESSION* s) const { SSL_SESSION_free(s); }
};

std::string_view cause_of_certificate(long verify) {
  switch (verify) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "its certificate is for another name";
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "its certificate has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "its certificate is not valid yet";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
      return "its certificate is signed by nobody this machine trusts";
    default:
      return "its certificate is not acceptable";
  }
}

// `code`: of OpenSSL's error queue, 0 = none.
std::string_view cause_of_error(unsigned long code) {
  if (code == 0) return "it closed the connection";
  const int reason = ERR_GET_REASON(code);
  if (ERR_GET_LIB(code) != ERR_LIB_SSL) return "the session failed";
  if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST) return "it does not speak TLS";
  if (reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION)
    return "it has no TLS version in common with us";
  if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) return "it closed the connection";
  if (reason > SSL_AD_REASON_OFFSET) return "it refused the session";
  return "the session failed";
}
}  // namespace

struct TlsContext::Impl {
  SSL_CTX* context = nullptr;
  std::unordered_map<std::string, std::unique_ptr<SSL_SESSION, SessionDeleter>> sessions;  // by host
};

struct TlsSession::Impl {
  SSL* ssl = nullptr;
  std::string host;
  TlsContext::Impl* context = nullptr;
};

TlsContext::TlsContext() : impl_(std::make_unique<Impl>()) {
  impl_->context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(impl_->context, TLS1_2_VERSION);
  SSL_CTX_set_default_verify_paths(impl_->context);
  SSL_CTX_set_verify(impl_->context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(impl_->context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Sessions are kept by us, per host, newest wins (TLS 1.3 tickets are for one use, the server sends new
  // ones).
  SSL_CTX_set_session_cache_mode(impl_->context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(impl_->context, [](SSL* ssl, SSL_SESSION* session) {
    auto* owner = static_cast<TlsSession::Impl*>(SSL_get_app_data(ssl));
    if (owner == nullptr) return 0;
    owner->context->sessions[owner->host].reset(session);
    return 1;  // we own the reference
  });
}

TlsContext::~TlsContext() {
  impl_->sessions.clear();
  SSL_CTX_free(impl_->context);
}

std::unique_ptr<TlsSession> TlsContext::connect(int fd, const std::string& host) {
  return std::unique_ptr<TlsSession>(new TlsSession(*impl_, fd, host));
}

TlsSession::TlsSession(TlsContext::Impl& context, int fd, std::string host)
    : impl_(std::make_unique<Impl>()) {
  impl_->host = std::move(host);
  impl_->context = &context;
  impl_->ssl = SSL_new(context.context);
  SSL_set_fd(impl_->ssl, fd);
  SSL_set_app_data(impl_->ssl, impl_.get());
  in6_addr any{};
  const bool numeric = inet_pton(AF_INET, impl_->host.c_str(), &any) == 1 ||
                       inet_pton(AF_INET6, impl_->host.c_str(), &any) == 1;
  if (numeric) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(impl_->ssl), impl_->host.c_str());
  } else {
    SSL_set_tlsext_host_name(impl_->ssl, impl_->host.c_str());
    SSL_set1_host(impl_->ssl, impl_->host.c_str());
  }
  const auto it = context.sessions.find(impl_->host);
  if (it != context.sessions.end() && it->second != nullptr) SSL_set_session(impl_->ssl, it->second.get());
  SSL_set_connect_state(impl_->ssl);
}

// Says close_notify as far as the socket takes it. OpenSSL takes a session that ended without for broken and
// never resumes it.
TlsSession::~TlsSession() {
  if (error_.empty() && SSL_is_init_finished(impl_->ssl) == 1) {
    SSL_shutdown(impl_->ssl);
    ERR_clear_error();
  }
  SSL_free(impl_->ssl);
}

bool TlsSession::resumed() const { return SSL_session_reused(impl_->ssl) == 1; }

Io TlsSession::outcome(int result, const char* step) {
  const int kind = SSL_get_error(impl_->ssl, result);
  if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
    ERR_clear_error();
    return {Io::again};
  }
  if (kind == SSL_ERROR_ZERO_RETURN) return {Io::eof};
  const long verify = SSL_get_verify_result(impl_->ssl);
  if (verify != X509_V_OK) {
    cause_ = cause_of_certificate(verify);
    error_ = std::string("certificate of ") + impl_->host + ": " + X509_verify_cert_error_string(verify);
  } else {
    const unsigned long code = ERR_peek_error();
    cause_ = cause_of_error(code);
    error_ = std::string(step) + ": " + (code != 0 ? ERR_reason_error_string(code) : "connection closed");
  }
  ERR_clear_error();
  return {Io::error};
}

Io TlsSession::handshake() {
  const int result = SSL_do_handshake(impl_->ssl);
  if (result == 1) return {Io::ok};
  const Io io = outcome(result, "TLS handshake");
  if (io.kind != Io::eof) return io;
  error_ = "TLS handshake: connection closed";
  cause_ = cause_of_error(0);
  return {Io::error};
}

Io TlsSession::read(char* out, std::size_t room) {
  const int n = SSL_read(impl_->ssl, out, static_cast<int>(room));
  if (n > 0) return {Io::ok, static_cast<std::size_t>(n)};
  return outcome(n, "TLS read");
}

// Small parts are joined into one record; a part that is large by itself is written as it stands.
Io TlsSession::write(const iovec* parts, int count) {
  std::size_t done = 0;
  std::string joined;
  for (int i = 0; i < count; ++i) {
    std::string_view bytes(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
    if (i + 1 < count && joined.size() + bytes.size() <= 16 * 1024) {
      joined += bytes;
      continue;
    }
    if (!joined.empty() && joined.size() + bytes.size() <= 16 * 1024) {
      joined += bytes;
      bytes = joined;
    } else if (!joined.empty()) {
      const int n = SSL_write(impl_->ssl, joined.data(), static_cast<int>(joined.size()));
      if (n <= 0) return done > 0 ? Io{Io::ok, done} : outcome(n, "TLS write");
      done += static_cast<std::size_t>(n);
      if (static_cast<std::size_t>(n) < joined.size()) return {Io::ok, done};
      joined.clear();
    }
    while (!bytes.empty()) {
      const int n =
          SSL_write(impl_->ssl, bytes.data(), static_cast<int>(std::min<std::size_t>(bytes.size(), 1 << 20)));
      if (n <= 0) return done > 0 ? Io{Io::ok, done} : outcome(n, "TLS write");
      done += static_cast<std::size_t>(n);
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    joined.clear();
  }
  return {Io::ok, done};
}

}  // namespace tg::net
