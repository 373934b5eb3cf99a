#include "gateway/snapshot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "base/files.hpp"

namespace tg::gateway {

Result<UrlParts> split_url(std::string_view url) {
  const auto bad = [&] {
    return fail("bad_url", fmt::format("'{}' is not an http or https URL", url),
                "write for example http://127.0.0.1:8000/v1");
  };
  UrlParts parts;
  std::string_view rest = url;
  if (rest.starts_with("https://")) {
    parts.tls = true;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return bad();
  }
  const std::size_t slash = rest.find('/');
  std::string_view authority = rest.substr(0, slash);
  if (slash != std::string_view::npos) parts.path = rest.substr(slash);
  while (parts.path.ends_with('/')) parts.path.pop_back();
  parts.authority = authority;
  parts.port = parts.tls ? 443 : 80;
  const std::size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && !authority.ends_with(']')) {
    const std::string_view port = authority.substr(colon + 1);
    const auto [end, problem] = std::from_chars(port.data(), port.data() + port.size(), parts.port);
    if (problem != std::errc{} || end != port.data() + port.size()) return bad();
    authority = authority.substr(0, colon);
  }
  if (authority.starts_with('[') && authority.ends_with(']'))
    authority = authority.substr(1, authority.size() - 2);
  if (authority.empty()) return bad();
  parts.host = authority;
  return parts;
}

namespace {

// The secret itself, read at each (re)load. Missing or empty: the provider is not ready, the rest serves.
std::string read_credential(const spec::Credentials& credentials, std::string& why) {
  std::string secret;
  if (credentials.from == spec::Credentials::From::env) {
    const char* value = std::getenv(credentials.name.c_str());
    if (value == nullptr || *value == '\0') {
      why = fmt::format("the environment variable {} is not set", credentials.name);
      return {};
    }
    secret = value;
  } else {
    auto content = read_file(credentials.name, 64 * 1024);
    if (!content) {
      why = content.error().message;
      return {};
    }
    secret = *content;
  }
  while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r' || secret.back() == ' '))
    secret.pop_back();
  const bool printable =
      std::all_of(secret.begin(), secret.end(), [](char c) { return c > 0x20 && c < 0x7F; });
  if (secret.empty() || !printable) {
    why = fmt::format("the credential {} is empty or holds characters that no header can carry",
                      credentials.name);
    return {};
  }
  return secret;
}

// 0 where somebody else runs the server and its context is not in the document.
std::int64_t context_of(const spec::Model& model) {
  switch (model.engine) {
    case spec::EngineKind::simulated:
      return model.simulated.context;
    case spec::EngineKind::ollama:
      return model.ollama.url.empty() ? model.context : 0;
    case spec::EngineKind::llamacpp:
      return model.context;
    case spec::EngineKind::external:
      break;
  }
  return 0;
}

}  // namespace

UpstreamHead::UpstreamHead(std::string_view host, std::string_view base_path,
                           std::string_view authorization) {
  start.append("POST ").append(base_path);
  fields.append(" HTTP/1.1\r\nhost: ").append(host);
  if (!authorization.empty()) fields.append("\r\nauthorization: ").append(authorization);
  fields.append("\r\naccept-encoding: identity\r\ncontent-length: ");
}

Backend SnapshotBuilder::backend_of(const spec::Target& target, const spec::Documents& documents,
                                    const TableOf& table_of, const spec::Timeouts& timeouts) {
  Backend backend;
  backend.weight = target.weight;
  backend.model = target.model;
  if (target.provider.empty()) {
    backend.name = "model/" + target.model;
    backend.table = table_of(target.model);
    const spec::Model& model = documents.models.at(target.model);
    backend.keep_alive_after = model.hold.keep_alive_after;
    backend.context = context_of(model);
    backend.foreign = model.engine == spec::EngineKind::external ||
                      (model.engine == spec::EngineKind::ollama && !model.ollama.url.empty());
    return backend;
  }
  const spec::Provider& provider = documents.providers.at(target.provider);
  backend.name = "provider/" + provider.name;
  backend.upstream_model = target.model;
  auto& state = providers_[provider.name];
  if (state == nullptr) state = std::make_shared<ProviderState>();
  backend.provider = state;
  const auto parts = split_url(provider.url);
  if (!parts) {
    backend.not_ready = parts.error().message;
    return backend;
  }
  const std::string key =
      fmt::format("{}|{}|{}|{}|{}", parts->host, parts->port, parts->tls, timeouts.connect, timeouts.tls);
  backend.target = targets_[key].lock();
  if (backend.target == nullptr) {
    auto made = std::make_shared<http::Target>();
    made->host = parts->host;
    made->port = parts->port;
    made->tls = parts->tls;
    made->connect_timeout = timeouts.connect;
    made->tls_timeout = timeouts.tls;
    made->max_idle = 1024;
    backend.target = made;
    targets_[key] = backend.target;
  }
  std::string authorization;
  if (provider.credentials.from != spec::Credentials::From::none) {
    const std::string secret = read_credential(provider.credentials, backend.not_ready);
    if (!secret.empty()) authorization = "Bearer " + secret;
  }
  backend.head = UpstreamHead(parts->authority, parts->path, authorization);
  return backend;
}

std::shared_ptr<const Snapshot> SnapshotBuilder::build(const spec::Documents& documents,
                                                       const TableOf& table_of) {
  auto snapshot = std::make_shared<Snapshot>();
  for (const std::string& name : routes_) {
    if (!documents.routes.contains(name)) metrics_.remove("route", name);
  }
  routes_.clear();
  for (const auto& [name, route] : documents.routes) routes_.insert(name);
  for (const auto& [name, source] : documents.routes) {
    Route route;
    route.name = name;
    route.retry = source.retry;
    route.timeouts = source.timeouts;
    for (const spec::Target& target : source.to) {
      route.to.push_back(backend_of(target, documents, table_of, source.timeouts));
      if (route.to.back().not_ready.empty()) route.total_weight += target.weight;
      if (route.owner.empty()) route.owner = target.provider.empty() ? "tidegate" : target.provider;
    }
    for (const spec::Fallback& fallback : source.fallback) {
      if (fallback.on_errors)
        route.fallback.push_back(backend_of(fallback.target, documents, table_of, source.timeouts));
    }
    for (const auto* list : {&route.to, &route.fallback}) {
      for (const Backend& b : *list) {
        if (!b.not_ready.empty()) snapshot->not_ready.push_back(b.name + ": " + b.not_ready);
      }
    }
    const Labels label{{"route", name}};
    const auto outcome = [&](const char* value) {
      return metrics_.counter("tidegate_requests_total", "requests by route and how they ended",
                              {{"route", name}, {"outcome", value}});
    };
    const auto tokens = [&](const char* direction, const char* basis) {
      return metrics_.counter("tidegate_tokens_total", "tokens by route, direction and basis",
                              {{"route", name}, {"direction", direction}, {"basis", basis}});
    };
    RouteMetrics& m = route.metrics;
    m.complete = outcome("complete");
    m.cut = outcome("cut");
    m.client_gone = outcome("client_gone");
    m.refused = outcome("refused");
    m.upstream_error = outcome("upstream_error");
    m.timed_out = outcome("timed_out");
    m.tokens_in_reported = tokens("input", "reported");
    m.tokens_in_estimated = tokens("input", "estimated");
    m.tokens_out_reported = tokens("output", "reported");
    m.tokens_out_estimated = tokens("output", "estimated");
    m.no_done = metrics_.counter("tidegate_streams_without_done_total",
                                 "streams that ended cleanly without [DONE]", label);
    m.error_events =
        metrics_.counter("tidegate_stream_error_events_total", "error events inside a 200 stream", label);
    m.retries = metrics_.counter("tidegate_retries_total", "requests sent again", label);
    m.compressed = metrics_.counter("tidegate_compressed_answers_total",
                                    "answers compressed although identity was asked for", label);
    m.first_byte = metrics_.histogram("tidegate_time_to_first_byte_seconds",
                                      "from dispatch to the first answer byte", label);
    m.duration =
        metrics_.histogram("tidegate_request_duration_seconds", "from arrival to the last byte", label);
    snapshot->route_names.push_back(name);
    snapshot->routes.emplace(name, std::move(route));
  }
  for (const auto& [name, source] : documents.tenants) {
    Tenant tenant;
    tenant.name = name;
    tenant.all_routes = source.all_routes;
    tenant.routes.insert(source.routes.begin(), source.routes.end());
    tenant.limits = {source.limits.requests_per_minute, source.limits.tokens_per_minute,
                     source.limits.concurrent};
    tenant.state = &limits_.of(name);
    snapshot->tenants.emplace(name, std::move(tenant));
  }
  std::sort(snapshot->not_ready.begin(), snapshot->not_ready.end());
  snapshot->not_ready.erase(std::unique(snapshot->not_ready.begin(), snapshot->not_ready.end()),
                            snapshot->not_ready.end());
  return snapshot;
}

}  // namespace tg::gateway
