// References: what is named must be there, and be of the kind that is needed.
#include <fmt/format.h>

#include <algorithm>

#include "catalog/sizes.hpp"
#include "verify/facts.hpp"

namespace tg::verify {

namespace {

class Names {
 public:
  Names(const Subject& s, Report& report) : s_(s), report_(report) {}

  void storage_class(const spec::Reader& reader, std::string_view path) {
    const std::string name = reader.text(path);
    if (name.empty() || has_class(name)) return;
    report_.error(reader, path, "unknown_reference", fmt::format("there is no storage class {}", name),
                  classes_.empty() ? fmt::format("declare it: storage.classes.{}: {{kind: block}}", name)
                                   : propose(name, classes_, "storage class"));
  }
  bool has_class(std::string_view name) const {
    if (std::find(classes_.begin(), classes_.end(), name) != classes_.end()) return true;
    // Distributions bring these.
    return (s_.site == "k3s" || s_.site == "clusterApi") && name == "local-path";
  }
  void pool(const spec::Reader& reader, std::string_view path) {
    const std::string name = reader.text(path);
    if (name.empty() || std::find(pools_.begin(), pools_.end(), name) != pools_.end()) return;
    report_.error(reader, path, "unknown_reference", fmt::format("there is no pool {}", name),
                  propose(name, pools_, "pool"));
  }
  void data(const spec::Reader& reader, std::string_view path,
            std::initializer_list<std::string_view> kinds) {
    const std::string name = reader.text(path);
    if (name.empty()) return;
    for (const auto& [other, service] : data_) {
      if (other != name) continue;
      const std::string use = service.text("use");
      if (std::find(kinds.begin(), kinds.end(), use) == kinds.end()) {
        report_.error(reader, path, "wrong_kind",
                      fmt::format("{} is {}, {} is needed", name, use, fmt::join(kinds, " or ")),
                      fmt::format("name a data service that uses {}", *kinds.begin()));
      }
      return;
    }
    report_.error(reader, path, "unknown_reference", fmt::format("there is no data service {}", name),
                  propose(name, names(data_), "data service"));
  }
  // Each entry of the list at `path` is one of `known`.
  void entries(const spec::Reader& reader, std::string_view path, const std::vector<std::string>& known,
               std::string_view what) {
    const auto words = reader.texts(path);
    for (std::size_t i = 0; i < words.size(); ++i) {
      const auto& [word, at] = words[i];
      if (std::find(known.begin(), known.end(), word) != known.end()) continue;
      report_.error_in(reader, path, i, at, "unknown_reference", fmt::format("there is no {} {}", what, word),
                       propose(word, known, what));
    }
  }
  void known(const spec::Reader& reader, std::string_view path, const std::vector<std::string>& all,
             std::string_view what) {
    const std::string name = reader.text(path);
    if (name.empty() || std::find(all.begin(), all.end(), name) != all.end()) return;
    report_.error(reader, path, "unknown_reference", fmt::format("there is no {} {}", what, name),
                  propose(name, all, what));
  }

 private:
  const Subject& s_;
  Report& report_;
  const std::vector<std::string> classes_ = names(verify::classes(s_));
  const std::vector<std::string> pools_ = names(s_.spec.named("pools"));
  const Named data_ = s_.spec.named("data");
};

void check_classes(const Subject& s, Names& n, Report& report) {
  if (s.site == "existing" && classes(s).empty()) return;  // the cluster has its own
  for (const char* path : {"components.chat.storage.class", "components.metrics.storage.class",
                           "components.logs.storage.class", "components.serving.cache", "backup.class"}) {
    n.storage_class(s.spec, path);
  }
  for (const auto& [name, data] : s.spec.named("data")) n.storage_class(data, "class");
  for (const auto& [name, app] : s.spec.named("apps")) {
    for (const auto& [volume, v] : app.named("volumes")) n.storage_class(v, "class");
  }
  for (const auto& [name, pool] : s.spec.named("pools")) n.storage_class(pool, "localDisks");
  for (const auto& [name, model] : s.all(spec::DocumentKind::model)) n.storage_class(model, "cache.class");
  for (const auto& [name, run] : s.all(spec::DocumentKind::training_run)) {
    for (const auto& [volume, v] : run.named("volumes")) n.storage_class(v, "class");
  }
  if (!s.hosts()) return;
  for (const auto& [name, host] : s.infrastructure().named("hosts")) {
    for (const auto& [storage_class, disk] : host.named("localDisks")) {
      if (n.has_class(storage_class)) continue;
      report.error(host, "localDisks." + storage_class, "unknown_reference",
                   fmt::format("there is no storage class {}", storage_class),
                   propose(storage_class, names(classes(s)), "storage class"));
    }
  }
}

void check_pools(const Subject& s, Names& n) {
  if (s.spec.text("components.placement") != "controlPlane") n.pool(s.spec, "components.placement");
  for (const auto& [name, app] : s.spec.named("apps")) n.pool(app, "pool");
  for (const auto& [name, model] : s.all(spec::DocumentKind::model)) n.pool(model, "pool");
  for (const auto& [name, run] : s.all(spec::DocumentKind::training_run)) n.pool(run, "pool");
  if (s.hosts()) {
    for (const auto& [name, host] : s.infrastructure().named("hosts")) n.pool(host, "pool");
  }
}

void check_kafka(const spec::Reader& app, Named data, Report& report) {
  const std::string service = app.text("scale.kafka.service"), topic = app.text("scale.kafka.topic");
  for (const auto& [name, d] : data) {
    if (name != service || d.text("use") != "kafka") continue;
    const std::vector<std::string> topics = names(d.named("topics"));
    if (topics.empty() || std::find(topics.begin(), topics.end(), topic) != topics.end()) continue;
    report.error(app, "scale.kafka.topic", "unknown_reference",
                 fmt::format("{} has no topic {}", service, topic), propose(topic, topics, "topic"));
  }
}

void check_apps(const Subject& s, Names& n, Report& report) {
  const Named data = s.spec.named("data");
  const std::vector<std::string> tenants = names(s.all(spec::DocumentKind::tenant));
  std::vector<std::string> callable = names(s.spec.named("apps"));
  for (const auto& [name, d] : data) callable.push_back(name);
  if (s.use("serving") != "none") callable.emplace_back("serving");
  for (const auto& [name, app] : s.spec.named("apps")) {
    n.entries(app, "uses", callable, "app or data service");
    const auto uses = app.texts("uses");
    for (std::size_t i = 0; i < uses.size(); ++i) {
      if (uses[i].first == name)
        report.error_in(app, "uses", i, uses[i].second, "uses_itself", "an app does not call itself",
                        "remove it: replicas of one app reach each other by their service");
    }
    n.known(app, "tenant", tenants, "Tenant");
    if (app.has("scale.kafka")) {
      n.data(app, "scale.kafka.service", {"kafka"});
      check_kafka(app, data, report);
    }
    if (app.has("scale.redis")) n.data(app, "scale.redis.service", {"valkey"});
    for (const char* event : {"scale.kafka.service", "scale.redis.service"}) {
      const std::string service = app.text(event);
      const bool there =
          std::any_of(data.begin(), data.end(), [&](const auto& d) { return d.first == service; });
      if (service.empty() || !there) continue;
      const auto words = app.list("uses");
      if (std::find(words.begin(), words.end(), service) != words.end()) continue;
      report.error(app, event, "scales_by_stranger",
                   fmt::format("{} scales by {}, which is not among its uses", name, service),
                   fmt::format("add {} to uses", service));
    }
  }
  for (const auto& [name, d] : data) {
    if (d.has("topics") && d.text("use") != "kafka")
      report.error(d, "topics", "wrong_kind", fmt::format("{} has no topics", d.text("use")),
                   "remove topics, or use kafka");
  }
}

// Programs that rules and forwards can name.
std::vector<std::string> all_programs(const Subject& s) {
  std::vector<std::string> out = names(s.spec.named("apps"));
  for (const auto& [name, d] : s.spec.named("data")) out.push_back(name);
  for (const auto& [name, d] : s.all(spec::DocumentKind::model)) out.push_back(name);
  for (const auto& [name, d] : s.all(spec::DocumentKind::training_run)) out.push_back(name);
  for (const char* component : {"gateway", "metrics", "dashboards", "logs", "traces", "alerts", "serving",
                                "chat", "mesh", "policy", "secrets", "training", "certificates"}) {
    const std::string use = s.use(component);
    if (use == "none") continue;
    out.push_back(use);
    out.emplace_back(component);
  }
  if (s.use("serving") == "knative") {
    for (const char* program : {"ollama", "litellm", "knative"}) out.emplace_back(program);
  }
  for (const Share& share : parts(s, 1)) out.push_back(share.workload);
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

void check_receivers(const Subject& s, Names& n, Report& report) {
  const spec::Reader alerts = s.spec.sub("components.alerts");
  const std::vector<std::string> receivers = names(alerts.named("receivers"));
  bool all = false;  // an entry above takes every alert
  for (const spec::Reader& route : alerts.entries("routes")) {
    n.entries(route, "to", receivers, "receiver");
    if (all)
      report.error(route, "to", "never_reached",
                   "an entry above it has neither severity nor team and takes every alert",
                   "put the entry without conditions last");
    if (!route.has("severity") && !route.has("team")) all = true;
  }
  n.entries(s.spec, "upkeep.notice.to", receivers, "receiver");
  for (const auto& [name, rule] : alerts.named("rules"))
    n.known(rule, "workload", all_programs(s), "program");
}

void check_forwards(const Subject& s, Report& report) {
  std::vector<std::string> all = all_programs(s);
  // Whoever offers the Routes, and the engine behind it, by what they are and not by the program's name.
  all.insert(all.end(), {"gateway", "ollama"});
  std::map<std::string, std::string> taken;
  for (const auto& [part, port] : s.spec.texts_map("access.forward")) {
    if (std::find(all.begin(), all.end(), part) == all.end()) {
      report.error(s.spec, "access.forward." + part, "unknown_reference",
                   fmt::format("there is no part {}", part), propose(part, all, "part"));
    }
    const auto [other, fresh] = taken.emplace(port, part);
    if (!fresh) {
      report.error(s.spec, "access.forward." + part, "port_taken",
                   fmt::format("port {} leads to {} already", port, other->second), "choose another port");
    }
  }
}

// Secrets from the platform's store need that store.
void check_store(const Subject& s, Report& report) {
  if (s.use("secrets") != "none") {
    if (!s.spec.has("components.secrets.from"))
      report.error(s.spec, "components.secrets", "missing_store",
                   "it is not said from which store the secrets come",
                   "add from: {vault: {install: openbao}}, or another store");
    return;
  }
  for (const auto& [name, tenant] : s.all(spec::DocumentKind::tenant)) {
    if (tenant.has("secrets"))
      report.error(tenant, "secrets", "needs_component",
                   "paths of a secret store are named, and the platform has none",
                   "add components.secrets: {use: external-secrets, from: …}");
  }
  for (const auto& [name, provider] : s.all(spec::DocumentKind::provider)) {
    if (provider.has("credentials.vault"))
      report.error(provider, "credentials.vault", "needs_component",
                   "a path of a secret store is named, and the platform has none",
                   "add components.secrets: {use: external-secrets, from: …}, or write secretRef");
  }
}

}  // namespace

void check_names(const Subject& s, Report& report) {
  Names n(s, report);
  check_classes(s, n, report);
  check_pools(s, n);
  check_apps(s, n, report);
  n.data(s.spec, "components.chat.database", {"postgresql", "aurora-postgresql", "timescaledb"});
  check_receivers(s, n, report);
  check_forwards(s, report);
  check_store(s, report);
}

}  // namespace tg::verify
