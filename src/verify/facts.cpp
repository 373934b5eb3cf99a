#include "verify/facts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "catalog/instances.hpp"
#include "spec/value_cluster.hpp"
#include "text/suggest.hpp"

namespace tg::verify {

namespace {

constexpr double kMi = 1024.0 * 1024.0;
constexpr double kGi = 1024.0 * kMi;
constexpr std::string_view kGpu = "nvidia.com/gpu";

// Node of a cloud: the smallest of the types that its pool may take.
void size_of_pool(const Subject& s, const spec::Reader& pool, Nodes& out) {
  if (pool.has("resources")) {
    out.path = "resources";
    out.known = true;
    out.whole = amounts(pool.quantities("resources"));
    const catalog::Machine left = catalog::allocatable({out.whole.cpu, out.whole.memory, 0});
    out.left = {left.cpu, left.memory, out.whole.gpus};
    return;
  }
  out.path = "instanceTypes";
  for (const std::string& type : pool.list("instanceTypes")) {
    const catalog::MachineType found = catalog::machine_type(s.site, type);
    if (found.name != catalog::TypeName::known) continue;
    const catalog::Machine left = catalog::allocatable(found.machine);
    const Amounts whole{found.machine.cpu, found.machine.memory, static_cast<double>(found.machine.gpus)};
    const Amounts rest{left.cpu, left.memory, whole.gpus};
    if (!out.known) {
      out.whole = whole;
      out.left = rest;
    } else {
      out.whole = {std::min(out.whole.cpu, whole.cpu), std::min(out.whole.memory, whole.memory),
                   std::min(out.whole.gpus, whole.gpus)};
      out.left = {std::min(out.left.cpu, rest.cpu), std::min(out.left.memory, rest.memory),
                  std::min(out.left.gpus, rest.gpus)};
    }
    out.known = true;
  }
}

bool pool_tainted(const spec::Reader& pool) {
  if (pool.has("taints")) return !pool.list("taints").empty();
  return pool.text("gpu.vendor") == "nvidia";
}

// What the host keeps: its pool's reserves over the cluster's, else by its size.
Amounts left_of_host(const Subject& s, const spec::Reader* pool, const Amounts& whole) {
  std::map<std::string, std::string> system = s.spec.quantities("cluster.reserve.system"),
                                     kubelet = s.spec.quantities("cluster.reserve.kubelet"),
                                     eviction = s.spec.quantities("cluster.reserve.eviction");
  if (pool != nullptr) {
    for (const auto& [key, value] : pool->quantities("reserve.system")) system[key] = value;
    for (const auto& [key, value] : pool->quantities("reserve.kubelet")) kubelet[key] = value;
    for (const auto& [key, value] : pool->quantities("reserve.eviction")) eviction[key] = value;
  }
  Amounts left = whole;
  left.memory = catalog::visible_memory(whole.memory);
  if (system.empty() && kubelet.empty()) {
    const catalog::Machine rest = catalog::allocatable({whole.cpu, left.memory, 0});
    return {rest.cpu, rest.memory, whole.gpus};
  }
  const Amounts kept = [&] {
    Amounts sum = amounts(system);
    sum += amounts(kubelet);
    return sum;
  }();
  double evict = 100 * kMi;
  if (const auto it = eviction.find("memory.available"); it != eviction.end()) {
    if (const auto bytes = spec::parse_quantity(it->second)) evict = *bytes;
  }
  left.cpu = std::max(0.0, left.cpu - kept.cpu);
  left.memory = std::max(0.0, left.memory - kept.memory - evict);
  return left;
}

void add_hosts(const Subject& s, std::vector<Nodes>& out) {
  const Named pools = s.spec.named("pools");
  for (const auto& [name, host] : s.infrastructure().named("hosts")) {
    const std::string role = host.text("role");
    if (role == "loadBalancer") continue;
    Nodes n{.name = name, .pool = host.text("pool"), .reader = host, .path = "resources"};
    n.min = n.max = 1;
    n.control_plane = role == "controlPlane" || role == "server";
    const auto pool =
        std::find_if(pools.begin(), pools.end(), [&](const auto& p) { return p.first == n.pool; });
    // A server of k3s runs pods; a control plane of kubeadm does not.
    n.tainted = role == "controlPlane" || (pool != pools.end() && pool_tainted(pool->second));
    if (host.has("resources")) {
      n.known = true;
      n.whole = amounts(host.quantities("resources"));
      n.left = left_of_host(s, pool == pools.end() ? nullptr : &pool->second, n.whole);
    }
    out.push_back(std::move(n));
  }
}

double bytes_of(const spec::Reader& reader, std::string_view path) { return reader.number(path); }

}  // namespace

Amounts& Amounts::operator+=(const Amounts& o) {
  cpu += o.cpu;
  memory += o.memory;
  gpus += o.gpus;
  return *this;
}

std::string_view Amounts::lacks(const Amounts& need) const {
  constexpr double kSlack = 1e-6;
  if (need.gpus > gpus + kSlack) return kGpu;
  if (need.cpu > cpu + kSlack) return "cpu";
  if (need.memory > memory * (1 + kSlack)) return "memory";
  return {};
}

double Amounts::of(std::string_view resource) const {
  return resource == "cpu" ? cpu : resource == "memory" ? memory : gpus;
}

Amounts amounts(const std::map<std::string, std::string>& quantities) {
  Amounts out;
  for (const auto& [key, text] : quantities) {
    const auto value = spec::parse_quantity(text);
    if (!value) continue;
    if (key == "cpu") out.cpu = *value;
    if (key == "memory") out.memory = *value;
    if (key == kGpu) out.gpus = *value;
  }
  return out;
}

std::string shown(std::string_view resource, double amount) {
  if (resource == "cpu") {
    const double thousandths = std::floor(amount * 1000 + 0.5);
    if (std::fmod(thousandths, 1000) == 0) return fmt::format("{:.0f}", thousandths / 1000);
    return fmt::format("{:.0f}m", thousandths);
  }
  if (resource == kGpu) return fmt::format("{:.0f}", amount);
  if (amount >= 10 * kGi) {
    const double tenths = std::floor(amount / kGi * 10) / 10;
    return tenths == std::floor(tenths) ? fmt::format("{:.0f}Gi", tenths) : fmt::format("{:.1f}Gi", tenths);
  }
  if (std::fmod(amount, kGi) == 0) return fmt::format("{:.0f}Gi", amount / kGi);
  return fmt::format("{:.0f}Mi", std::floor(amount / kMi));
}

std::vector<Nodes> nodes(const Subject& s) {
  std::vector<Nodes> out;
  if (s.hosts()) {
    add_hosts(s, out);
    return out;
  }
  for (const auto& [name, pool] : s.spec.named("pools")) {
    Nodes n{.name = name, .pool = name, .reader = pool, .path = {}};
    size_of_pool(s, pool, n);
    n.min = static_cast<double>(pool.integer("count.min"));
    n.max = static_cast<double>(pool.integer("count.max"));
    n.tainted = pool_tainted(pool);
    out.push_back(std::move(n));
  }
  return out;
}

std::vector<Nodes> nodes_for(const std::vector<Nodes>& all, std::string_view pool) {
  std::vector<Nodes> out;
  std::copy_if(all.begin(), all.end(), std::back_inserter(out),
               [&](const Nodes& n) { return pool.empty() ? !n.tainted : n.pool == pool; });
  return out;
}

std::vector<Pods> programs(const Subject& s) {
  std::vector<Pods> out;
  for (const auto& [name, app] : s.spec.named("apps")) {
    out.push_back({.what = "the app " + name,
                   .reader = app,
                   .requests = "resources.requests",
                   .bound = "replicas.max",
                   .pool = app.text("pool"),
                   .tenant = app.text("tenant"),
                   .needs = amounts(app.quantities("resources.requests")),
                   .limits = amounts(app.quantities("resources.limits")),
                   .min = static_cast<double>(app.integer("replicas.min")),
                   .max = static_cast<double>(app.integer("replicas.max"))});
  }
  for (const auto& [name, data] : s.spec.named("data")) {
    if (data.text("use") == "aurora-postgresql") continue;  // the cloud's own machines
    const double members = static_cast<double>(data.integer("instances"));
    out.push_back({.what = "the data service " + name,
                   .reader = data,
                   .requests = "resources.requests",
                   .bound = "instances",
                   .pool = {},
                   .tenant = {},
                   .needs = amounts(data.quantities("resources.requests")),
                   .limits = amounts(data.quantities("resources.limits")),
                   .min = members,
                   .max = members});
  }
  if (s.use("serving") != "none") {
    for (const auto& [name, model] : s.all(spec::DocumentKind::model)) {
      if (const auto engine = model.chosen("engine"); engine == "external") continue;
      Pods p{.what = "the Model " + name,
             .reader = model,
             .requests = "resources.requests",
             .bound = "replicas.max",
             .pool = model.text("pool"),
             .tenant = {},
             .needs = amounts(model.quantities("resources.requests")),
             .limits = amounts(model.quantities("resources.limits")),
             .min = static_cast<double>(model.integer("replicas.min")),
             .max = static_cast<double>(model.integer("replicas.max"))};
      if (p.needs.memory <= 0) p.needs.memory = memory_by_name(model.text("source"));
      out.push_back(std::move(p));
    }
  }
  for (const auto& [name, run] : s.all(spec::DocumentKind::training_run)) {
    const bool deployment = run.text("as") == "Deployment";
    const bool grows = deployment && run.flag("chart.autoscaling.enabled");
    const double count = static_cast<double>(run.integer(deployment ? "replicas" : "nodes"));
    Pods p{.what = "the TrainingRun " + name,
           .reader = run,
           .requests = "resources.requests",
           .bound = grows        ? "chart.autoscaling.max"
                    : deployment ? "replicas"
                                 : "nodes",
           .pool = run.text("pool"),
           .tenant = {},
           .needs = amounts(run.quantities("resources.requests")),
           .limits = amounts(run.quantities("resources.limits")),
           .min = 0,  // it comes and goes
           .max = grows ? static_cast<double>(run.integer("chart.autoscaling.max")) : count};
    if (p.pool.empty()) {
      for (const auto& [pool, reader] : s.spec.named("pools")) {
        if (reader.text("gpu.vendor") == "nvidia") p.pool = pool;
      }
    }
    out.push_back(std::move(p));
  }
  return out;
}

Named classes(const Subject& s) { return s.spec.named("storage.classes"); }

std::string default_class(const Subject& s) {
  for (const auto& [name, c] : classes(s)) {
    if (c.flag("default")) return name;
  }
  return {};
}

bool is_static(const Subject& s, const std::string& name, const spec::Reader& storage_class) {
  if (storage_class.text("kind") != "local" || storage_class.flag("dynamic")) return false;
  if (s.site == "machines" || s.cloud()) return true;
  // k3s and Cluster API on docker bring a provisioner that makes directories.
  if (s.site != "k3s") return false;
  const Named hosts = s.infrastructure().named("hosts");
  return std::any_of(hosts.begin(), hosts.end(), [&](const auto& h) {
    return h.second.texts_map("localDisks").contains(name) || h.second.has("localDisks." + name);
  });
}

std::vector<Claim> claims(const Subject& s) {
  std::vector<Claim> out;
  const std::string fallback = default_class(s);
  const auto add = [&](std::string what, const spec::Reader& reader, std::string size, std::string class_path,
                       double count, bool shared) {
    std::string name = reader.text(class_path);
    if (name.empty()) name = fallback;
    const double bytes = bytes_of(reader, size);
    out.push_back({std::move(what), reader, std::move(size), std::move(class_path), std::move(name), bytes,
                   count, shared});
  };
  for (const auto& [name, app] : s.spec.named("apps")) {
    for (const auto& [volume, v] : app.named("volumes")) {
      add(fmt::format("the volume {} of the app {}", volume, name), v, "size", "class", 1,
          app.integer("replicas.max") > 1);
    }
  }
  for (const auto& [name, data] : s.spec.named("data")) {
    if (data.text("use") == "aurora-postgresql") continue;
    add("the data service " + name, data, "size", "class", static_cast<double>(data.integer("instances")),
        false);
  }
  for (const auto& [name, run] : s.all(spec::DocumentKind::training_run)) {
    const bool deployment = run.text("as") == "Deployment";
    const bool several =
        deployment ? run.integer("replicas") > 1 ||
                         (run.flag("chart.autoscaling.enabled") && run.integer("chart.autoscaling.max") > 1)
                   : run.integer("nodes") > 1;
    for (const auto& [volume, v] : run.named("volumes"))
      add(fmt::format("the volume {} of the TrainingRun {}", volume, name), v, "size", "class", 1, several);
  }
  const spec::Reader components = s.spec.sub("components");
  if (s.use("metrics") == "prometheus") {
    add("components.metrics", components, "metrics.storage.size", "metrics.storage.class",
        static_cast<double>(components.integer("metrics.replicas")), false);
  }
  if (const std::string logs = s.use("logs"); logs == "loki" || logs == "elasticsearch") {
    if (components.text("logs.storage.bucket").empty() && components.text("logs.mode") != "distributed")
      add("components.logs", components, "logs.storage.size", "logs.storage.class", 1, false);
  }
  if (s.use("chat") != "none")
    add("components.chat", components, "chat.storage.size", "chat.storage.class", 1, false);
  return out;
}

std::vector<Published> published(const Subject& s) {
  std::vector<Published> out;
  const auto add = [&](std::string what, const spec::Reader& reader, std::string path, bool operators) {
    if (reader.text(path).empty()) return;
    out.push_back({.what = std::move(what),
                   .reader = reader,
                   .path = path,
                   .at = reader.at(path),
                   .where = reader.where(path),
                   .host = reader.text(path),
                   .operators = operators});
  };
  for (const auto& [name, app] : s.spec.named("apps")) {
    const auto hosts = app.texts("hosts");
    for (std::size_t i = 0; i < hosts.size(); ++i) {
      out.push_back({.what = "the app " + name,
                     .reader = app,
                     .path = "hosts",
                     .at = hosts[i].second,
                     .where = fmt::format("{}[{}]", app.where("hosts"), i),
                     .host = hosts[i].first});
    }
  }
  add("components.serving", s.spec, "components.serving.host", false);
  add("components.chat", s.spec, "components.chat.host", false);
  add("components.dashboards", s.spec, "components.dashboards.host", false);
  if (!out.empty() && out.back().path == "components.dashboards.host")
    out.back().url_path = s.spec.text("components.dashboards.path");
  add("components.metrics", s.spec, "components.metrics.host", true);
  add("components.logs", s.spec, "components.logs.host", true);
  add("components.alerts", s.spec, "components.alerts.host", true);
  for (const auto& [name, run] : s.all(spec::DocumentKind::training_run))
    add("the TrainingRun " + name, run, "expose.host", false);
  return out;
}

std::vector<std::string> names(const Named& named) {
  std::vector<std::string> out;
  out.reserve(named.size());
  for (const auto& [name, reader] : named) out.push_back(name);
  return out;
}

std::string propose(std::string_view word, const std::vector<std::string>& names, std::string_view what) {
  if (names.empty()) return fmt::format("there is no {} in the documents: add one, or remove this", what);
  std::string hint = text::did_you_mean(word, std::span<const std::string>(names));
  if (!hint.empty()) return hint;
  const std::size_t shown = std::min<std::size_t>(names.size(), 6);
  const std::vector<std::string_view> first(names.begin(),
                                            names.begin() + static_cast<std::ptrdiff_t>(shown));
  return fmt::format("a {} can be {}{}", what, text::join_words(first, "or"),
                     names.size() > shown ? " …" : "");
}

double memory_by_name(std::string_view source) {
  // The last number before a "b" that no letter follows: "qwen3:0.6b", "Qwen3-4B-GGUF".
  double billions = 0;
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] < '0' || source[i] > '9') continue;
    double value = 0;
    const auto [end, error] = std::from_chars(source.data() + i, source.data() + source.size(), value);
    const auto after = static_cast<std::size_t>(end - source.data());
    if (error == std::errc() && after < source.size() && (source[after] == 'b' || source[after] == 'B') &&
        (after + 1 == source.size() || source[after + 1] == '-' || source[after + 1] == '.' ||
         source[after + 1] == ':' || source[after + 1] == '/')) {
      billions = value;
    }
    i = after;
  }
  return billions <= 0 ? 0 : std::ceil(billions * 0.62 * 1000) * 1e6 + 400 * kMi;
}

}  // namespace tg::verify
