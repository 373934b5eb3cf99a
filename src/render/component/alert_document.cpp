// components.alerts.rules: alerts that the document adds, and their proofs.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "render/component/alert_rules.hpp"
#include "render/component/components.hpp"
#include "render/component/observability.hpp"

namespace tg::render::observability {

namespace {

// What a share is measured by.
struct Measure {
  std::string_view field;
  std::string_view what;  // for people
  // Expression without its comparison; {0}: matchers of the pods with a comma in front, or nothing.
  std::string (*expr)(const std::string& workload);
  double scale;  // of the threshold in the expression
  std::string_view action;
};

std::string pods(const std::string& workload, std::string_view label = "pod") {
  return workload.empty() ? std::string() : fmt::format(", {}=~\"{}(-.*)?\"", label, workload);
}

std::string of_limit(std::string_view used, std::string_view resource, const std::string& workload) {
  return fmt::format(
      "{}\n/ max by (namespace, pod, container) (kube_pod_container_resource_limits{{resource=\"{}\"{}}})",
      used, resource, pods(workload));
}

std::string memory(const std::string& workload) {
  return of_limit(fmt::format("max by (namespace, pod, container) "
                              "(container_memory_working_set_bytes{{container!=\"\"{}}})",
                              pods(workload)),
                  "memory", workload);
}

std::string cpu(const std::string& workload) {
  return of_limit(fmt::format("sum by (namespace, pod, container) "
                              "(rate(container_cpu_usage_seconds_total{{container!=\"\"{}}}[5m]))",
                              pods(workload)),
                  "cpu", workload);
}

std::string gpu(const std::string& workload) {
  const std::string match = pods(workload);
  return fmt::format("max by (Hostname, gpu) (DCGM_FI_DEV_GPU_UTIL{})",
                     match.empty() ? match : "{" + match.substr(2) + "}");
}

std::string disk(const std::string& workload) {
  const std::string match =
      workload.empty() ? std::string() : fmt::format("{{persistentvolumeclaim=~\".*{}.*\"}}", workload);
  return fmt::format(
      "max by (namespace, persistentvolumeclaim) (kubelet_volume_stats_used_bytes{0})\n"
      "/ max by (namespace, persistentvolumeclaim) (kubelet_volume_stats_capacity_bytes{0})",
      match);
}

constexpr auto kMeasures = std::to_array<Measure>({
    {"memory", "of its memory", memory, 1,
     "At 100 % the kernel ends the container: give it more, or less to do."},
    {"cpu", "of its processors", cpu, 1, "It is slowed down at its limit: give it more, or more replicas."},
    {"gpu", "of a GPU", gpu, 100, "Work waits for the card: spread it over more, or start a replica."},
    {"disk", "of a volume", disk, 1,
     "Programs stop when they cannot write: grow the volume or remove what is old."},
});

int minutes(double seconds) { return static_cast<int>(std::ceil(seconds / 60)); }

// Low for five minutes, then above the threshold; a rate needs five more to be all above.
void prove(Alert& a, const Measure& m, const std::string& workload, double share, double seconds) {
  const std::string pod = (workload.empty() ? std::string("web") : workload) + "-0";
  const Labels labels{{"namespace", "models"}, {"pod", pod}, {"container", "main"}};
  const std::string both = fmt::format("{{namespace=\"models\",pod=\"{}\",container=\"main\"", pod);
  const int hold = minutes(seconds);
  const int length = hold + 30;
  const double above = share + (1 - share) / 2;
  int begins = 5;
  if (m.field == "memory") {
    a.input = {{fmt::format("container_memory_working_set_bytes{}}}", both),
                fmt::format("0x4 {}x{}", above * 1000, length)},
               {fmt::format("kube_pod_container_resource_limits{},resource=\"memory\"}}", both),
                fmt::format("1000x{}", length + 5)}};
    a.expected = labels;
  } else if (m.field == "cpu") {
    // So much more than the limit that the first sample of the rate is above, too.
    a.input = {{fmt::format("container_cpu_usage_seconds_total{}}}", both),
                fmt::format("0x5 {0}+{0}x{1}", std::ceil(share) * 600, length)},
               {fmt::format("kube_pod_container_resource_limits{},resource=\"cpu\"}}", both),
                fmt::format("1x{}", length + 5)}};
    a.expected = labels;
    begins = 6;
  } else if (m.field == "gpu") {
    a.input = {{fmt::format("DCGM_FI_DEV_GPU_UTIL{{Hostname=\"n1\",gpu=\"0\",pod=\"{}\"}}", pod),
                fmt::format("0x4 {}x{}", above * 100, length)}};
    a.expected = {{"Hostname", "n1"}, {"gpu", "0"}};
  } else {
    const std::string claim = fmt::format("{{namespace=\"models\",persistentvolumeclaim=\"{}\"}}", pod);
    a.input = {{"kubelet_volume_stats_used_bytes" + claim, fmt::format("0x4 {}x{}", above * 1000, length)},
               {"kubelet_volume_stats_capacity_bytes" + claim, fmt::format("1000x{}", length + 5)}};
    a.expected = {{"namespace", "models"}, {"persistentvolumeclaim", pod}};
  }
  a.quiet = fmt::format("{}m", begins + std::max(hold, 1) - 1 - (hold == 0 ? 1 : 0));
  a.fires = fmt::format("{}m", begins + hold);
}

std::string percent(double share) { return fmt::format("{} %", std::round(share * 1000) / 10); }

void check_workload(const Context& context, const spec::Reader& rule, const std::string& workload,
                    const std::vector<std::string>& known) {
  if (workload.empty() || std::find(known.begin(), known.end(), workload) != known.end()) return;
  std::string names;
  for (const std::string& n : known) names += (names.empty() ? "" : ", ") + n;
  context.refuse("unknown_workload", rule.at("workload"), rule.where("workload"),
                 fmt::format("no part of this platform runs {}", workload), "one of: " + names);
}

}  // namespace

AlertGroup document_alerts(const Context& context, const std::vector<Part>& parts) {
  AlertGroup out{"document", {}};
  const std::vector<std::string> known = workload_names(parts);
  for (const auto& [name, rule] : context.component("alerts").named("rules")) {
    const std::string workload = rule.text("workload");
    check_workload(context, rule, workload, known);
    Alert alert{.name = name, .duration = rule.text("for"), .severity = rule.text("severity")};
    const double seconds = rule.seconds("for");
    const std::string whose = workload.empty() ? std::string("A program") : workload;
    int measures = 0;
    for (const Measure& m : kMeasures) {
      if (!rule.has(m.field)) continue;
      const double share = rule.number(m.field);
      const std::string one = fmt::format("{} > {}", m.expr(workload), share * m.scale);
      alert.expr += (alert.expr.empty() ? "" : "\nor\n") + one;
      if (measures++ == 0) {
        prove(alert, m, workload, share, seconds);
        alert.summary = fmt::format("{} uses more than {} {}", whose, percent(share), m.what);
        alert.description = fmt::format("For more than {}.", rule.text("for"));
        alert.action = m.action;
      }
    }
    if (const std::string expr = rule.text("expr"); !expr.empty()) {
      if (measures > 0)
        context.refuse("two_conditions", rule.at("expr"), rule.where("expr"),
                       fmt::format("{} has an expression and a share", name), "leave one of them out");
      alert.expr = expr;
      alert.summary = name;
      alert.description = "A rule of the document.";
      ++measures;
    }
    if (rule.has("gpu") && gpu_software(context) == "none")
      context.refuse("no_gpu", rule.at("gpu"), rule.where("gpu"), "nothing measures GPUs on this platform",
                     "give a pool gpu: {vendor: nvidia}");
    if (measures == 0) {
      context.refuse("missing_field", rule.at("severity"), rule.where("memory"),
                     fmt::format("{} says nothing that could be measured", name),
                     "add one of memory, cpu, gpu, disk (a share like 80%) or expr");
      continue;
    }
    if (rule.has("summary")) alert.summary = rule.text("summary");
    out.alerts.push_back(std::move(alert));
  }
  return out;
}

std::vector<std::string> workload_names(const std::vector<Part>& parts) {
  std::vector<std::string> out;
  for (const Part& p : parts) {
    for (const Release& r : p.releases) out.push_back(r.release);
    for (const Manifest& m : p.manifests) {
      for (const Json& o : m.objects) {
        const std::string kind = o.value("kind", std::string());
        if (kind == "Deployment" || kind == "StatefulSet" || kind == "DaemonSet" || kind == "Cluster" ||
            kind == "Kafka")
          out.push_back(o["metadata"].value("name", std::string()));
      }
    }
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace tg::render::observability
