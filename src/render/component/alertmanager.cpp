// The configuration of Alertmanager: who is told about which alert. Receivers read their secrets from files.
#include <fmt/format.h>

#include <algorithm>

#include "render/component/components.hpp"
#include "render/component/observability.hpp"

namespace tg::render::observability {

namespace {

constexpr std::string_view kNobody = "nobody";
constexpr std::string_view kTitle =
    "[{{ .Status | toUpper }}{{ if eq .Status \"firing\" }} {{ .Alerts.Firing | len }}{{ end }}] "
    "{{ .CommonLabels.alertname }}";
constexpr std::string_view kText =
    "{{ range .Alerts }}*{{ .Labels.severity }}* {{ .Annotations.summary }}\n"
    "{{ .Annotations.description }}\n{{ end }}";

struct Receiver {
  std::string name;
  spec::Reader spec;
  std::string kind;
  std::optional<spec::SecretRef> secret;
  std::string key;  // of the Secret if the reference names none
};

std::vector<Receiver> receivers(const Context& context) {
  struct Kind {
    std::string_view name, secret, key;
  };
  static constexpr auto kinds = std::to_array<Kind>({{"slack", "slack.url", "url"},
                                                     {"pagerDuty", "pagerDuty.routingKey", "routing-key"},
                                                     {"email", "email.credentials", "password"},
                                                     {"webhook", "webhook.url", "url"}});
  std::vector<Receiver> out;
  for (const auto& [name, spec] : context.component("alerts").named("receivers")) {
    for (const Kind& k : kinds) {
      if (!spec.has(k.name)) continue;
      out.push_back({name, spec, std::string(k.name), spec.secret(k.secret), std::string(k.key)});
    }
  }
  return out;
}

Held held(const Receiver& r) {
  Held out = observability::held(*r.secret, kMetricsNamespace, "alertmanager-" + r.name, r.key,
                                 fmt::format("receiver {} of alerts", r.name));
  return out;
}

std::string file(const Receiver& r) {
  const Held h = held(r);
  return fmt::format("/etc/alertmanager/secrets/{}/{}", h.secret, h.key);
}

Json receiver_json(const Receiver& r) {
  Json out{{"name", r.name}};
  if (r.kind == "slack") {
    out["slack_configs"] = Json::array({{{"api_url_file", file(r)},
                                         {"channel", r.spec.text("slack.channel")},
                                         {"send_resolved", true},
                                         {"title", kTitle},
                                         {"text", kText}}});
  } else if (r.kind == "pagerDuty") {
    // Events API v2: its key is a routing key.
    out["pagerduty_configs"] = Json::array({{{"routing_key_file", file(r)},
                                             {"send_resolved", true},
                                             {"severity", "{{ .CommonLabels.severity }}"},
                                             {"description", kTitle}}});
  } else if (r.kind == "email") {
    std::string to;
    for (const std::string& one : r.spec.list("email.to")) to += (to.empty() ? "" : ", ") + one;
    Json mail{{"to", to},
              {"from", r.spec.text("email.from")},
              {"smarthost", r.spec.text("email.smtp")},
              {"require_tls", true},
              {"send_resolved", true}};
    if (r.secret) {
      mail["auth_username"] = r.spec.text("email.from");
      mail["auth_password_file"] = file(r);
    }
    out["email_configs"] = Json::array({std::move(mail)});
  } else {
    out["webhook_configs"] = Json::array({{{"url_file", file(r)}, {"send_resolved", true}}});
  }
  return out;
}

// A list of texts or the default of the field.
Json group_by(const spec::Reader& alerts) {
  Json out = Json::array();
  for (const std::string& label : alerts.list("group.by")) out.push_back(label);
  return out;
}

Json matchers(const spec::Reader& route) {
  Json out = Json::array();
  if (const std::string severity = route.text("severity"); !severity.empty())
    out.push_back(fmt::format("severity = \"{}\"", severity));
  if (const std::string team = route.text("team"); !team.empty())
    out.push_back(fmt::format("team = \"{}\"", team));
  return out;
}

// One route for each receiver: all but the last let the alert go on to the next.
void add_routes(const Json& match, const std::vector<std::string>& to, Json& routes) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    Json one{{"receiver", to[i]}};
    if (!match.empty()) one["matchers"] = match;
    if (i + 1 < to.size()) one["continue"] = true;
    routes.push_back(std::move(one));
  }
}

// Who gets what no route takes: the receiver of a route without conditions, else the first.
std::string last_resort(const std::vector<Receiver>& all, const std::vector<spec::Reader>& routes) {
  for (const spec::Reader& r : routes) {
    if (const auto to = r.list("to"); !to.empty() && matchers(r).empty()) return to.front();
  }
  return all.empty() ? std::string(kNobody) : all.front().name;
}

}  // namespace

Json alertmanager_config(const Context& context) {
  const spec::Reader alerts = context.component("alerts");
  const std::vector<Receiver> all = receivers(context);
  const std::vector<spec::Reader> routes = alerts.entries("routes");
  Json children = Json::array();
  // They only say that alerting works, or hold others back.
  children.push_back(
      {{"receiver", kNobody}, {"matchers", Json::array({"alertname =~ \"Watchdog|InfoInhibitor\""})}});
  for (const spec::Reader& r : routes) {
    const Json match = matchers(r);
    const std::vector<std::string> to = r.list("to");
    if (!match.empty() || to.size() > 1) add_routes(match, to, children);
    if (match.empty()) break;
  }
  Json route{
      {"receiver", last_resort(all, routes)},           {"group_by", group_by(alerts)},
      {"group_wait", alerts.text("group.wait")},        {"group_interval", alerts.text("group.interval")},
      {"repeat_interval", alerts.text("group.repeat")}, {"routes", std::move(children)}};
  Json list = Json::array({{{"name", kNobody}}});
  for (const Receiver& r : all) list.push_back(receiver_json(r));
  const auto inhibit = [](const char* source, const char* target, Json equal) {
    return Json{{"source_matchers", Json::array({source})},
                {"target_matchers", Json::array({target})},
                {"equal", std::move(equal)}};
  };
  Json same = Json::array({"namespace", "alertname"});
  return {
      {"global", {{"resolve_timeout", "5m"}}},
      {"route", std::move(route)},
      {"inhibit_rules", Json::array({inhibit("severity = \"critical\"", "severity =~ \"warning|info\"", same),
                                     inhibit("severity = \"warning\"", "severity = \"info\"", same),
                                     inhibit("alertname = \"InfoInhibitor\"", "severity = \"info\"",
                                             Json::array({"namespace"}))})},
      {"receivers", std::move(list)},
      {"templates", Json::array()}};
}

Json alertmanager_secrets(const Context& context) {
  Json out = Json::array();
  for (const SecretNeed& need : alertmanager_needs(context)) out.push_back(need.name);
  return out;
}

std::vector<SecretNeed> alertmanager_needs(const Context& context) {
  std::vector<SecretNeed> out;
  for (const Receiver& r : receivers(context)) {
    if (!r.secret) continue;
    const SecretNeed need = held(r).need;
    const auto same =
        std::find_if(out.begin(), out.end(), [&](const SecretNeed& n) { return n.name == need.name; });
    if (same == out.end()) {
      out.push_back(need);
      continue;
    }
    // Two receivers may stand in one Secret.
    for (const std::string& key : need.keys) {
      if (std::find(same->keys.begin(), same->keys.end(), key) == same->keys.end()) same->keys.push_back(key);
    }
  }
  return out;
}

}  // namespace tg::render::observability
