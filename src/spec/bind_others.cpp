// Provider, Route and Tenant.
#include <fmt/format.h>

#include <algorithm>

#include "spec/bind.hpp"

namespace tg::spec {

namespace {

void add(std::vector<Finding>& out, std::string_view code, const Reader& doc, std::string_view path,
         std::string message, std::string hint, Severity severity = Severity::error) {
  out.push_back(
      {std::string(code), severity, doc.at(path), doc.where(path), std::move(message), std::move(hint)});
}

Target bind_target(const Reader& entry) {
  Target t;
  t.model = entry.value("model").text;
  t.provider = entry.value("provider").text;
  t.at = entry.at("model");
  return t;
}

// The defaults of a Route come from the table whether or not there is a document.
void bind_bounds(const Reader& doc, Route& r) {
  r.retry.attempts = static_cast<int>(doc.value("spec.retry.attempts").integer);
  r.retry.budget = doc.value("spec.retry.budget").number;
  r.timeouts.connect = doc.value("spec.timeouts.connect").integer;
  r.timeouts.tls = doc.value("spec.timeouts.tls").integer;
  r.timeouts.first_byte = doc.value("spec.timeouts.firstByte").integer;
  r.timeouts.between_events = doc.value("spec.timeouts.betweenEvents").integer;
  r.timeouts.total = doc.value("spec.timeouts.total").integer;
  r.timeouts.client_stalled = doc.value("spec.timeouts.clientStalled").integer;
}

// A host that needs no network: the key does not leave the machine.
bool is_loopback(std::string_view url) {
  url.remove_prefix(std::min(url.size(), url.find("://") + 3));
  return url.starts_with("127.") || url.starts_with("localhost") || url.starts_with("[::1]");
}

}  // namespace

Provider bind_provider(const Reader& doc, std::vector<Finding>& out) {
  Provider p;
  p.name = doc.value("metadata.name").text;
  p.at = doc.at();
  p.dialect = doc.value("spec.dialect").text;
  p.url = doc.value("spec.url").text;
  for (auto& [name, at] : doc.texts("spec.models")) {
    const bool twice =
        std::any_of(p.models.begin(), p.models.end(), [&](const ProviderModel& m) { return m.name == name; });
    if (!twice) p.models.push_back({std::move(name), std::move(at)});  // the check told it
  }
  const std::string_view from = doc.chosen("spec.credentials");
  if (from == "env" || from == "file") {
    const std::string path = fmt::format("spec.credentials.{}", from);
    p.credentials = {from == "env" ? Credentials::From::env : Credentials::From::file, doc.value(path).text,
                     doc.at(path)};
    if (p.url.starts_with("http://") && !is_loopback(p.url)) {
      add(out, "plain_http", doc, "spec.url", fmt::format("the key is sent to {} without TLS", p.url),
          "use https:// unless the network is trusted", Severity::warning);
    }
  }
  return p;
}

Route bind_route(const Reader& doc, std::vector<Finding>& out) {
  Route r;
  r.name = doc.value("metadata.name").text;
  r.at = doc.at();
  std::int64_t weights = 0;
  for (const Reader& entry : doc.entries("spec.to")) {
    Target t = bind_target(entry);
    t.weight = static_cast<int>(entry.value("weight").integer);
    weights += t.weight;
    r.to.push_back(std::move(t));
  }
  for (const Reader& entry : doc.entries("spec.fallback")) {
    Fallback f{bind_target(entry), entry.value("when.errors").integer != 0};
    // The other reasons are for clusters; there they are enough.
    if (!f.on_errors && !entry.has("when.heldFor") && !entry.has("when.contextExceeded")) {
      add(out, "no_effect", entry, "when.errors",
          fmt::format("{} is never used: nothing makes a request fall back to it", entry.where("when")),
          "write errors: true, or remove the entry");
    }
    r.fallback.push_back(std::move(f));
  }
  if (!r.to.empty() && weights == 0) {
    add(out, "out_of_range", doc, "spec.to", "spec.to: all weights are 0, no entry gets a request",
        "give one entry a weight of 1");
  }
  bind_bounds(doc, r);
  return r;
}

Tenant bind_tenant(const Reader& doc, std::vector<Finding>& out) {
  Tenant t;
  t.name = doc.value("metadata.name").text;
  t.at = doc.at();
  t.all_routes = !doc.has("spec.routes");
  for (auto& [name, at] : doc.texts("spec.routes")) t.routes.push_back(std::move(name));
  t.limits.requests_per_minute = doc.value("spec.limits.requestsPerMinute").integer;
  t.limits.tokens_per_minute = doc.value("spec.limits.tokensPerMinute").integer;
  t.limits.concurrent = doc.value("spec.limits.concurrent").integer;
  if (t.name == "default" && !t.all_routes) {
    add(out, "no_effect", doc, "spec.routes", "the Tenant default may use every Route",
        "remove routes, or make a Tenant of another name for those keys");
  }
  return t;
}

Route implied_route(std::string name, Target target) {
  Route r;
  r.name = std::move(name);
  r.at = target.at;
  r.implied = true;
  r.to.push_back(std::move(target));
  text::Node nothing;
  nothing.kind = text::Node::Kind::mapping;
  const std::vector<std::string> files;
  bind_bounds(Reader(DocumentKind::route, files, nothing), r);
  return r;
}

Tenant default_tenant() {
  Tenant t;
  t.name = "default";
  return t;
}

}  // namespace tg::spec
