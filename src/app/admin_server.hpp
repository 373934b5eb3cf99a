// The admin API, metrics and health on HTTP, on the control loop: once on DIR/run/control.sock (trusted: only
// the user can open it) and once on the console port (reading only; loopback Host only, so that no web page
// can reach it by a name; metrics and health for a scraper too, where the port is not on loopback).
#pragma once

#include <memory>
#include <set>
#include <string_view>

#include "admin/api.hpp"
#include "base/metrics.hpp"
#include "http/server.hpp"

namespace tg::app {

// "127.0.0.1:4001", "localhost", "[::1]:4001". Any other name may be one that some DNS server points at us.
bool loopback_host(std::string_view host);

class AdminServer final : public http::Service {
 public:
  AdminServer(net::Loop& loop, admin::Sources& sources, const Metrics& metrics, bool trusted);
  ~AdminServer() override;

  void listen(Fd listener) { server_.listen(std::move(listener)); }
  void close() { server_.close_all(); }
  void set_ready(bool ready) { ready_ = ready; }
  // Metrics and health for any Host: somebody put the port on an address that others reach.
  void open_metrics() { open_metrics_ = true; }

  http::Exchange* on_request(http::ServerStream& stream, const http::RequestHead& head) override;
  void on_bad_request(int status, std::string_view reason, http::HeaderText& headers,
                      std::string& body) override;

 private:
  // The check sees this declaration only; the class is final.
  class Call;  // NOLINT(cppcoreguidelines-virtual-class-destructor)
  net::Loop& loop_;
  std::set<Call*> on_threads_;  // calls that read files on a thread of their own
  admin::Sources& sources_;
  const Metrics& metrics_;
  bool trusted_;
  bool ready_ = false;
  bool open_metrics_ = false;
  http::Server server_;
};

}  // namespace tg::app
