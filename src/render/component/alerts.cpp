// The rules of all parts, their proofs, and who is told.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "render/component/alert_rules.hpp"
#include "render/component/components.hpp"
#include "render/component/observability.hpp"
#include "text/emit.hpp"

namespace tg::render {

namespace {

using observability::AlertGroup;

const std::string kNs(observability::kMetricsNamespace);

Labels labels_of(const Context& context, const Alert& a) {
  Labels out = a.labels;
  out.emplace("severity", a.severity);
  if (const std::string team = context.spec().text("contacts.team"); !team.empty()) out.emplace("team", team);
  return out;
}

Json rule_json(const Context& context, const Alert& a) {
  Json out{{"alert", a.name}, {"expr", a.expr}};
  if (!a.duration.empty() && a.duration != "0s") out["for"] = a.duration;
  out["labels"] = to_json(labels_of(context, a));
  out["annotations"] = {{"summary", a.summary}, {"description", a.description}};
  return out;
}

// The text with {{ $labels.x }} and {{ $value … }} put in; nothing if something else stands in braces.
std::optional<std::string> shown(std::string_view text, const Alert& a) {
  std::string out;
  for (;;) {
    const std::size_t open = text.find("{{");
    out += text.substr(0, open);
    if (open == std::string_view::npos) return out;
    const std::size_t close = text.find("}}", open);
    if (close == std::string_view::npos) return std::nullopt;
    std::string_view inner = text.substr(open + 2, close - open - 2);
    while (inner.starts_with(' ')) inner.remove_prefix(1);
    while (inner.ends_with(' ')) inner.remove_suffix(1);
    if (inner.starts_with("$labels.")) {
      const auto it = a.expected.find(std::string(inner.substr(8)));
      if (it == a.expected.end()) return std::nullopt;
      out += it->second;
    } else if (inner.starts_with("$value") && !a.value.empty()) {
      out += a.value;
    } else {
      return std::nullopt;
    }
    text.remove_prefix(close + 2);
  }
}

// One group of tests: silent, then firing with exactly these labels and texts.
Json proof(const Context& context, const Alert& a) {
  Json input = Json::array();
  for (const Series& s : a.input) input.push_back({{"series", s.series}, {"values", s.values}});
  Json out{{"name", a.name}, {"interval", "1m"}, {"input_series", std::move(input)}};
  Labels labels = labels_of(context, a);
  for (const auto& [key, value] : a.expected) labels.emplace(key, value);
  const auto summary = shown(a.summary, a);
  const auto description = shown(a.description, a);
  if (summary && description) {
    Json expected{{"exp_labels", to_json(labels)},
                  {"exp_annotations", {{"summary", *summary}, {"description", *description}}}};
    out["alert_rule_test"] =
        Json::array({{{"eval_time", a.quiet}, {"alertname", a.name}, {"exp_alerts", Json::array()}},
                     {{"eval_time", a.fires},
                      {"alertname", a.name},
                      {"exp_alerts", Json::array({std::move(expected)})}}});
    return out;
  }
  labels.emplace("alertname", a.name);
  labels.emplace("alertstate", "firing");
  std::string sample = "ALERTS{";
  for (const auto& [key, value] : labels)
    sample += fmt::format("{}{}=\"{}\"", sample.back() == '{' ? "" : ",", key, value);
  sample += "}";
  const std::string expr = fmt::format("ALERTS{{alertname=\"{}\", alertstate=\"firing\"}}", a.name);
  out["promql_expr_test"] =
      Json::array({{{"expr", expr}, {"eval_time", a.quiet}, {"exp_samples", Json::array()}},
                   {{"expr", expr},
                    {"eval_time", a.fires},
                    {"exp_samples", Json::array({{{"labels", sample}, {"value", 1}}})}}});
  return out;
}

void add_group(const Context& context, const AlertGroup& group, Part& part) {
  Json rules = Json::array();
  Json tests = Json::array();
  for (const Alert& a : group.alerts) {
    rules.push_back(rule_json(context, a));
    if (!a.input.empty()) tests.push_back(proof(context, a));
  }
  if (rules.empty()) return;
  Json spec{{"groups", Json::array({{{"name", group.name}, {"rules", std::move(rules)}}})}};
  Json o = object("monitoring.coreos.com/v1", "PrometheusRule", group.name, kNs);
  o["spec"] = spec;
  part.add(fmt::format("rules/{}.yaml", group.name), std::move(o));
  // promtool reads rules without the object around them.
  part.extras.push_back(
      {.path = fmt::format("tests/{}.rules.yaml", group.name), .content = text::emit_yaml(spec)});
  if (tests.empty()) return;
  const Json file{{"rule_files", Json::array({group.name + ".rules.yaml"})},
                  {"evaluation_interval", "1m"},
                  {"tests", std::move(tests)}};
  part.extras.push_back(
      {.path = fmt::format("tests/{}.test.yaml", group.name), .content = text::emit_yaml(file)});
}

// What is written in the document and by parts goes before what is built in.
std::vector<AlertGroup> groups_of(const Context& context, const std::vector<Part>& parts) {
  std::vector<AlertGroup> out;
  std::set<std::string> names;
  const auto take = [&](AlertGroup group) {
    std::erase_if(group.alerts, [&](const Alert& a) { return names.contains(a.name); });
    if (group.alerts.empty()) return;
    const auto same =
        std::find_if(out.begin(), out.end(), [&](const AlertGroup& g) { return g.name == group.name; });
    if (same == out.end()) {
      out.push_back(std::move(group));
    } else {
      same->alerts.insert(same->alerts.end(), group.alerts.begin(), group.alerts.end());
    }
  };
  const auto know = [&] {
    for (const AlertGroup& g : out) {
      for (const Alert& a : g.alerts) names.insert(a.name);
    }
  };
  take(observability::document_alerts(context, parts));
  know();
  // Two databases have alerts of one name, each about itself.
  for (const Part& p : parts) take({p.name, p.alerts});
  know();
  for (AlertGroup& g : observability::built_in_alerts(context)) {
    take(std::move(g));
    know();
  }
  return out;
}

// Mail servers have a port of their own, everything else is asked by HTTPS.
void connect(const Context& context, Part& part) {
  std::set<int> ports;
  for (const auto& [name, receiver] : context.component("alerts").named("receivers")) {
    int port = 443;
    if (receiver.has("email")) {
      const std::string smtp = receiver.text("email.smtp");
      port = std::atoi(smtp.substr(smtp.rfind(':') + 1).c_str());
    }
    ports.insert(port);
  }
  if (ports.empty()) return;
  std::vector<Port> list;
  for (const int port : ports) list.push_back({"", port});
  part.edges.push_back({.from = observability::alertmanager_peer(),
                        .to = Peer::everywhere(),
                        .ports = std::move(list),
                        .why = "tells the receivers"});
}

// An overlay that adds a receiver as this platform could have it.
Json example_receiver(const Context& context) {
  const std::string mail = context.spec().text("contacts.email");
  const std::string domain = mail.empty() ? "example.com" : mail.substr(mail.find('@') + 1);
  Json email{{"to", Json::array({mail.empty() ? "ops@" + domain : mail})}};
  email["from"] = "alerts@" + domain;
  email["smtp"] = fmt::format("smtp.{}:587", domain);
  email["credentials"] = {{"secretRef", "smtp"}};
  Json out{{"apiVersion", spec::kApiVersion}, {"kind", "Platform"}, {"metadata", {{"name", context.name()}}}};
  out["spec"]["components"]["alerts"]["receivers"]["mail"]["email"] = std::move(email);
  return out;
}

void tell_nobody(const Context& context, Part& part) {
  context.warn(
      "nobody_is_told", context.spec().at("components"), "spec.components.alerts.receivers",
      "alerts go to nobody: they stand in Alertmanager until somebody looks",
      "add alerts: {receivers: {NAME: {email: …}}} (also slack, pagerDuty, webhook), or write alerts: none");
  part.sections.push_back(
      {.chapter = Section::Chapter::daily,
       .title = "Critical alerts",
       .text = fmt::format(
           "**Nobody is told**: `components.alerts.receivers` is empty, so alerts stand in Alertmanager "
           "until "
           "somebody looks. Add who is to be told to the document, or give it as a second file (`-f`), with "
           "a "
           "server and a sender that are there; the sender's password is then one of the secrets below:\n\n"
           "```yaml\n{}```\n\nRender and apply again. `slack`, `pagerDuty` and `webhook` stand in the same "
           "place.",
           text::emit_yaml(example_receiver(context)))});
}

void explain(const Context& context, const std::vector<AlertGroup>& groups, Part& part) {
  for (const AlertGroup& g : groups) {
    for (const Alert& a : g.alerts) {
      if (a.action.empty()) continue;
      part.sections.push_back(
          {.chapter = Section::Chapter::troubleshooting, .title = "Alert " + a.name, .text = a.action});
    }
  }
  std::string names;
  for (const auto& [name, receiver] : context.component("alerts").named("receivers"))
    names += (names.empty() ? "" : ", ") + name;
  if (names.empty()) {
    tell_nobody(context, part);
    return;
  }
  part.sections.push_back(
      {.chapter = Section::Chapter::daily,
       .title = "Critical alerts",
       .text = fmt::format("They go to {}. What fires now stands in Alertmanager; silence "
                           "what is being worked on, with a name and an end.",
                           names)});
}

}  // namespace

std::vector<Part> alerts(const Context& context, const std::vector<Part>& parts) {
  // The add-on of CCE has the same operator, so rules are read there too; its Alertmanager takes the file.
  if (!context.has("metrics") || context.use("alerts") == "none") return {};
  Part part = component("alerts");
  part.after = {"metrics"};
  part.namespaces.push_back({.name = kNs});
  const std::vector<AlertGroup> groups = groups_of(context, parts);
  for (const AlertGroup& g : groups) add_group(context, g, part);
  // The same that the values of the stack have, for a look and for amtool.
  part.extras.push_back(
      {.path = "alertmanager.yaml", .content = text::emit_yaml(observability::alertmanager_config(context))});
  part.secrets = observability::alertmanager_needs(context);
  connect(context, part);
  explain(context, groups, part);
  return {std::move(part)};
}

}  // namespace tg::render
