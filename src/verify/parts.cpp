// Which workloads of the catalog a platform has, and how many pods of each.
#include <algorithm>
#include <array>
#include <map>

#include "catalog/sizes.hpp"
#include "verify/facts.hpp"

namespace tg::verify {

namespace {

// A workload is there if its component uses one of these words. An empty workload stands for all others of
// the component. The first row that fits holds.
struct Rule {
  std::string_view component, workload, uses;
};
constexpr auto kRules = std::to_array<Rule>({
    {"logs", "alloy", "loki|elasticsearch|cloudwatch"},
    {"logs", "alloy-reloader", "loki|elasticsearch|cloudwatch"},
    {"logs", "elastic-operator", "elasticsearch"},
    {"logs", "elasticsearch", "elasticsearch"},
    {"logs", "kibana", "elasticsearch"},
    {"logs", "logstash", "elasticsearch"},
    {"logs", "fluent-bit", "files"},
    {"logs", "fluentd", "files"},
    {"logs", "sweeper", "files"},
    {"logs", "", "loki"},
    {"metrics", "", "prometheus"},
    {"dashboards", "", "grafana"},
    {"traces", "tempo", "tempo"},
    {"traces", "jaeger", "jaeger"},
    {"gateway", "", "envoy-gateway"},
    {"certificates", "", "cert-manager"},
    {"policy", "admission", "kyverno"},
    {"policy", "reports", "kyverno"},
    {"policy", "", "gatekeeper"},
    {"secrets", "", "external-secrets"},
    {"mesh", "", "istio"},
    {"chat", "open-webui", "open-webui"},
    {"gpu", "", "operator"},
});

bool word_in(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const std::size_t end = std::min(words.find('|'), words.size());
    if (words.substr(0, end) == word) return true;
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return false;
}

bool by_use(const Subject& s, const catalog::Workload& w) {
  for (const Rule& r : kRules) {
    if (r.component != w.component || (!r.workload.empty() && r.workload != w.name)) continue;
    return word_in(r.uses, s.use(w.component));
  }
  return false;
}

bool backs_up(const Subject& s) {
  if (const std::string use = s.spec.text("backup.use"); !use.empty()) return use == "velero";
  return s.spec.has("backup") && !(s.site == "k3s" && s.small());
}

bool there(const Subject& s, const catalog::Workload& w) {
  const spec::Reader components = s.spec.sub("components");
  if (w.component == "backup") return backs_up(s);
  if (w.component == "storage" && w.name == "local-path") return s.site == "k3s" || s.site == "clusterApi";
  if (w.component == "network") return s.site == "machines" || s.site == "clusterApi";
  if (w.component == "k3s") return s.site == "k3s";
  if (w.component == "metrics-server") return s.site != "google" && s.site != "azure";
  if (w.component == "upkeep") return s.hosts() && w.name == "kured";
  if (!by_use(s, w)) return false;
  if (w.component == "logs" && w.name.starts_with("loki-"))
    return w.name == "loki-gateway" || components.text("logs.mode") == "distributed";
  if (w.component == "logs" && w.name == "loki") return components.text("logs.mode") != "distributed";
  if (w.component == "secrets" && w.name == "openbao")
    return components.text("secrets.from.vault.install") == "openbao";
  if (w.component == "mesh" && w.name == "ztunnel") return components.text("mesh.mode") == "ambient";
  if (w.component == "metrics" && w.name == "exporter") return components.has("metrics.exporters");
  if (w.component == "metrics" && w.name == "alertmanager") return s.use("alerts") == "alertmanager";
  if (w.component == "gateway" && w.name == "limits") return components.has("gateway.rateLimit");
  return true;
}

// Pods of a workload: as many as the document says, else as the catalog.
double count(const Subject& s, const catalog::Workload& w, double node_count) {
  const int replicas = w.replicas[s.small() ? 1 : 0];
  if (replicas < 0) return node_count;
  static constexpr std::array<std::array<std::string_view, 3>, 4> kFields{
      {{"gateway", "proxy", "components.gateway.replicas"},
       {"metrics", "prometheus", "components.metrics.replicas"},
       {"dashboards", "grafana", "components.dashboards.replicas"},
       {"chat", "open-webui", "components.chat.replicas"}}};
  for (const auto& [component, workload, field] : kFields) {
    if (component == w.component && workload == w.name && s.spec.has(field))
      return static_cast<double>(s.spec.integer(field));
  }
  return replicas;
}

}  // namespace

std::vector<Share> parts(const Subject& s, double node_count) {
  std::vector<Share> out;
  for (const catalog::Workload& w : catalog::workloads()) {
    // Databases and engines are programs of the documents.
    if (w.component == "data" || w.component == "serving" || !there(s, w)) continue;
    const catalog::Size& size = w.size[s.small() ? 1 : 0];
    const Amounts one =
        amounts({{"cpu", std::string(size.cpu_request)}, {"memory", std::string(size.memory_request)}});
    const double pods = count(s, w, node_count);
    if (pods <= 0) continue;
    out.push_back({std::string(w.component), std::string(w.name), one * pods});
  }
  // What k3s itself brings besides its ingress and its volumes, by its manifests.
  if (s.site == "k3s") {
    out.push_back({"k3s", "coredns", amounts({{"cpu", "100m"}, {"memory", "70Mi"}})});
    const bool known =
        std::any_of(out.begin(), out.end(), [](const Share& p) { return p.component == "metrics-server"; });
    if (!known)
      out.push_back({"metrics-server", "metrics-server", amounts({{"cpu", "100m"}, {"memory", "70Mi"}})});
  }
  return out;
}

}  // namespace tg::verify
