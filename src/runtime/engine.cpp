#include "runtime/engine.hpp"

#include <fmt/format.h>

#include <charconv>

namespace tg::runtime {

Result<EnginePlan> plan_engine(const PlanInput& in) {
  switch (in.model.engine) {
    case spec::EngineKind::llamacpp:
      return plan_llamacpp(in);
    case spec::EngineKind::simulated:
      return plan_simulated(in);
    case spec::EngineKind::ollama:
      return plan_ollama(in);
    case spec::EngineKind::external:
      return plan_external(in);
  }
  return fail("engine_unknown", "unknown engine");
}

std::string engine_program(const spec::Model& model) {
  const bool ollama = model.engine == spec::EngineKind::ollama;
  if (model.engine == spec::EngineKind::external || (ollama && !model.ollama.url.empty())) return {};
  if (!model.command.empty()) return model.command.front();
  if (ollama) return "ollama";
  return model.engine == spec::EngineKind::llamacpp ? "llama-server" : "";
}

Result<UrlParts> parse_engine_url(const std::string& url) {
  const auto bad = [&url](std::string_view why) {
    return fail("engine_url", fmt::format("'{}': {}", url, why),
                "write for example http://127.0.0.1:8000/v1");
  };
  UrlParts parts;
  std::string_view rest = url;
  if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
    parts.tls = true;
  } else {
    return bad("does not begin with http:// or https://");
  }
  if (rest.find_first_of("?#@ \t\r\n") != std::string_view::npos)
    return bad("has a user, a query, a fragment or a space");
  const std::size_t slash = rest.find('/');
  std::string_view authority = rest.substr(0, slash);
  if (slash != std::string_view::npos) parts.path = rest.substr(slash);
  while (parts.path.ends_with('/')) parts.path.pop_back();

  parts.port = parts.tls ? 443 : 80;
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return bad("the address has no closing ']'");
    parts.host = authority.substr(1, close - 1);
    authority.remove_prefix(close + 1);
    if (!authority.empty() && !authority.starts_with(':'))
      return bad("the address is not followed by a port");
    if (!authority.empty()) port = authority.substr(1);
  } else {
    const std::size_t colon = authority.find(':');
    parts.host = authority.substr(0, colon);
    if (colon != std::string_view::npos) {
      port = authority.substr(colon + 1);
      if (port.empty()) return bad("the port is missing");
    }
  }
  if (parts.host.empty()) return bad("the host is missing");
  if (!port.empty()) {
    const auto [end, problem] = std::from_chars(port.data(), port.data() + port.size(), parts.port);
    if (problem != std::errc{} || end != port.data() + port.size() || parts.port == 0)
      return bad("the port is not 1 to 65535");
  }
  return parts;
}

}  // namespace tg::runtime
