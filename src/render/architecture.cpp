#include "render/architecture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "render/component/components.hpp"
#include "render/infrastructure/cloud.hpp"

namespace tg::render {

namespace {

// Words of a diagram: boxes inside boxes, then the lines between them.
class Chart {
 public:
  void open(const std::string& id, const std::string& title) {
    line(fmt::format("subgraph {}[\"{}\"]", id, title));
    known_.insert(id);
    ++depth_;
  }
  void close() {
    --depth_;
    line("end");
  }
  void box(const std::string& id, const std::string& text) {
    line(fmt::format("{}[\"{}\"]", id, text));
    known_.insert(id);
  }
  void store(const std::string& id, const std::string& text) {
    line(fmt::format("{}[(\"{}\")]", id, text));
    known_.insert(id);
  }
  void person(const std::string& id, const std::string& text) {
    line(fmt::format("{}([\"{}\"])", id, text));
    known_.insert(id);
  }
  bool has(const std::string& id) const { return known_.contains(id); }
  // A line, if both ends are there; each once.
  void arrow(const std::string& from, const std::string& to, const std::string& why = {}) {
    if (!has(from) || !has(to) || !arrows_.insert(from + " " + to).second) return;
    line(why.empty() ? fmt::format("{} --> {}", from, to) : fmt::format("{} -->|{}| {}", from, why, to));
  }
  std::string text() const { return "```mermaid\nflowchart TB\n" + text_ + "```\n"; }

 private:
  void line(const std::string& words) {
    text_ += std::string(static_cast<std::size_t>(2 * depth_), ' ') + words + "\n";
  }
  std::string text_;
  int depth_ = 1;
  std::set<std::string> known_, arrows_;
};

// "model" and "qwen3-4b" → "model_qwen3_4b".
std::string id_of(std::string_view kind, std::string_view name) {
  std::string out(kind);
  out += '_';
  for (const char c : name) out += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return out;
}

const char* site_name(Site site) {
  switch (site) {
    case Site::open_telekom_cloud:
      return "Open Telekom Cloud";
    case Site::aws:
      return "AWS";
    case Site::google:
      return "Google Cloud";
    case Site::azure:
      return "Azure";
    case Site::machines:
      return "machines";
    case Site::k3s:
      return "k3s";
    case Site::cluster_api:
      return "Cluster API";
    case Site::existing:
      return "a cluster that is there";
  }
  return "";
}

std::string place(const Context& context) {
  std::string out = site_name(context.site());
  if (!context.cloud()) return out;
  const spec::Reader site = context.infrastructure();
  out += " " + site.text("region");
  const std::vector<std::string> zones = site.list("zones");
  if (!zones.empty()) out += fmt::format(": {}", fmt::join(zones, ", "));
  return out;
}

std::string size_of(const Pool& pool) {
  std::string out = fmt::format("pool {}: {}", pool.name, pool.min);
  if (pool.scales()) out += fmt::format("–{}", pool.max);
  out += fmt::format(" × {}", fmt::join(pool.types, ", "));
  if (pool.gpus > 0) out += fmt::format(", {} GPUs", pool.gpus);
  if (pool.spot_share > 0)
    out += fmt::format(", {:.0f} % spot above {} on demand", pool.spot_share * 100, pool.on_demand_base);
  return out;
}

void add_models(Chart& chart, const Context& context, std::string_view pool) {
  for (const auto& [name, model] : context.all(spec::DocumentKind::model)) {
    if (model.text("pool") == pool) chart.box(id_of("model", name), "model " + name);
  }
}

void add_pools(Chart& chart, const Context& context) {
  std::set<std::string> named;
  if (context.cloud()) {
    for (const Pool& pool : pools(context)) {
      named.insert(pool.name);
      chart.open(id_of("pool", pool.name), size_of(pool));
      chart.box(id_of("nodes", pool.name), "nodes");
      add_models(chart, context, pool.name);
      chart.close();
    }
  }
  if (context.site() == Site::cluster_api) {
    for (const auto& [name, pool] : context.spec().named("pools"))
      chart.box(id_of("pool", name), fmt::format("pool {}: {}–{} machines", name, pool.integer("count.min"),
                                                 pool.integer("count.max")));
  }
  for (const auto& [name, model] : context.all(spec::DocumentKind::model)) {
    const std::string pool = model.text("pool");
    if (!named.contains(pool)) chart.box(id_of("model", name), "model " + name);
  }
}

void add_tenants(Chart& chart, const std::vector<Part>& parts) {
  constexpr std::string_view kPrefix = "tenant-";
  for (const Part& p : parts) {
    if (p.name.starts_with(kPrefix))
      chart.box(id_of("tenant", p.name.substr(kPrefix.size())),
                fmt::format("namespace {}", p.name.substr(kPrefix.size())));
  }
}

bool outside(const std::string& use) { return use == "aurora-postgresql"; }

void add_data(Chart& chart, const Context& context, bool in_cluster) {
  for (const auto& [name, d] : context.spec().named("data")) {
    const std::string use = d.text("use");
    if (outside(use) == in_cluster) continue;
    chart.store(id_of("data", name), fmt::format("{}: {} × {}", name, use, d.integer("instances")));
  }
}

void add_cluster(Chart& chart, const Context& context, const std::vector<Part>& parts) {
  chart.open("cluster",
             fmt::format("cluster {}, Kubernetes {}", context.cluster_name(), context.kubernetes()));
  for (const Part& p : parts) {
    if (p.name == "gateway") chart.box("gateway", context.use("gateway"));
    if (p.name == "chat") chart.box("chat", context.use("chat"));
    if (p.name == "serving") chart.box("serving", fmt::format("models by {}", context.use("serving")));
    if (p.name == "metrics") chart.box("metrics", "metrics, alerts, dashboards");
    if (p.name == "logs") chart.box("logs", fmt::format("logs: {}", context.use("logs")));
  }
  for (const auto& [name, app] : context.spec().named("apps")) chart.box(id_of("app", name), "app " + name);
  add_tenants(chart, parts);
  add_pools(chart, context);
  add_data(chart, context, true);
  chart.close();
}

// What stands beside the cluster and outlives it.
void add_stores(Chart& chart, const Context& context, const std::vector<Part>& parts) {
  add_data(chart, context, false);
  if (context.cloud()) {
    for (const auto& [name, c] : context.spec().named("storage.classes")) {
      if (c.text("kind") == "shared")
        chart.store(id_of("class", name), fmt::format("{}: shared files", name));
    }
  }
  if (chart.has("serving")) {
    for (const auto& [name, provider] : context.all(spec::DocumentKind::provider))
      chart.person(id_of("provider", name), "provider " + name);
  }
  for (const Part& p : parts) {
    if (p.name == "secrets") chart.store("vault", "secrets of the platform");
  }
}

void add_arrows(Chart& chart, const Context& context, const std::vector<Part>& parts) {
  chart.arrow("users", "balancer");
  chart.arrow(chart.has("balancer") ? "balancer" : "users", "gateway");
  for (const Part& p : parts) {
    for (const Published& at : p.published) {
      chart.arrow("gateway", p.name, at.host);
      chart.arrow("gateway", id_of("app", p.name), at.host);
      if (p.name == "dashboards") chart.arrow("gateway", "metrics", at.host);
    }
  }
  // Nothing is published: operators forward ports.
  if (!chart.has("gateway")) {
    chart.arrow("users", "chat", "forwarded port");
    chart.arrow("users", "serving", "forwarded port");
  }
  chart.arrow("chat", "serving");
  for (const auto& [name, provider] : context.all(spec::DocumentKind::provider))
    chart.arrow("serving", id_of("provider", name));
  for (const auto& [name, model] : context.all(spec::DocumentKind::model))
    chart.arrow("serving", id_of("model", name));
  for (const auto& [name, tenant] : context.all(spec::DocumentKind::tenant))
    chart.arrow(id_of("tenant", name), "serving");
  chart.arrow("chat", id_of("data", context.component("chat").text("database")));
  const std::string cache = context.component("serving").text("cache");
  for (const auto& [name, model] : context.all(spec::DocumentKind::model))
    chart.arrow(id_of("model", name), id_of("class", cache), "weights");
  for (const auto& [name, app] : context.spec().named("apps")) {
    for (const std::string& used : app.list("uses")) {
      chart.arrow(id_of("app", name), id_of("data", used));
      chart.arrow(id_of("app", name), id_of("app", used));
    }
  }
  chart.arrow("cluster_api", "cluster", "makes it and what is in it");
  chart.arrow("vault", "cluster", "synced");
}

}  // namespace

std::string architecture(const Context& context, const std::vector<Part>& parts) {
  Chart chart;
  chart.person("users", "users");
  if (context.site() == Site::cluster_api)
    chart.box("cluster_api", "managing cluster: Rancher, Cluster API, Fleet");
  chart.open("place", place(context));
  const bool published =
      std::any_of(parts.begin(), parts.end(), [](const Part& p) { return !p.published.empty(); });
  if (context.cloud() && published) chart.box("balancer", "load balancer, an address in each zone");
  add_cluster(chart, context, parts);
  add_stores(chart, context, parts);
  chart.close();
  add_arrows(chart, context, parts);
  return chart.text();
}

}  // namespace tg::render
