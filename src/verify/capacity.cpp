// Processor, memory and devices: each pod fits a node, all of them together fit what the pools can grow to.
#include <fmt/format.h>

#include <algorithm>

#include "verify/facts.hpp"

namespace tg::verify {

namespace {

bool any_known(const std::vector<Nodes>& nodes) {
  return std::any_of(nodes.begin(), nodes.end(), [](const Nodes& n) { return n.known; });
}

// The node that could take most of it, for the message.
const Nodes& largest(const std::vector<Nodes>& nodes, std::string_view resource) {
  return *std::max_element(nodes.begin(), nodes.end(), [&](const Nodes& a, const Nodes& b) {
    return a.left.of(resource) < b.left.of(resource);
  });
}

std::string where_to(const Pods& p) {
  return p.pool.empty() ? std::string("without taints") : "of the pool " + p.pool;
}

// Whether one pod has a node; tells the resource that is short.
bool fits_one(const Subject&, const Pods& p, const std::vector<Nodes>& candidates, Report& report) {
  const bool fits = std::any_of(candidates.begin(), candidates.end(),
                                [&](const Nodes& n) { return !n.known || n.left.lacks(p.needs).empty(); });
  if (fits) return true;
  const std::string_view short_of = largest(candidates, "memory").left.lacks(p.needs).empty()
                                        ? "cpu"
                                        : largest(candidates, "memory").left.lacks(p.needs);
  const Nodes& best = largest(candidates, short_of);
  const std::string need = shown(short_of, p.needs.of(short_of));
  const std::string path = p.reader.has(fmt::format("{}.{}", p.requests, short_of))
                               ? fmt::format("{}.{}", p.requests, short_of)
                               : p.requests;
  if (short_of == "nvidia.com/gpu" && best.left.gpus <= 0) {
    report.error(p.reader, path, "fits_no_node",
                 fmt::format("{} asks for {} GPU{}, and no node {} has one", p.what, need,
                             p.needs.gpus > 1 ? "s" : "", where_to(p)),
                 p.pool.empty() ? "name the pool with GPUs: pool: NAME"
                                : fmt::format("choose instanceTypes with GPUs for the pool {}", p.pool));
    return false;
  }
  report.error(
      p.reader, path, "fits_no_node",
      fmt::format("{} asks for {} of {}, and the largest node for it, {}, leaves {} of {} to pods", p.what,
                  need, short_of, best.name, shown(short_of, best.left.of(short_of)),
                  shown(short_of, best.whole.of(short_of))),
      fmt::format("ask for at most {}, or choose larger machines", shown(short_of, best.left.of(short_of))));
  return false;
}

// How many replicas the nodes hold, each node by itself; -1 = not known.
double room_for(const Pods& p, const std::vector<Nodes>& candidates) {
  double sum = 0;
  for (const Nodes& n : candidates) {
    if (!n.known) return -1;
    double each = 1e9;
    if (p.needs.cpu > 0) each = std::min(each, (n.left.cpu + 1e-6) / p.needs.cpu);
    if (p.needs.memory > 0) each = std::min(each, n.left.memory / p.needs.memory);
    if (p.needs.gpus > 0) each = std::min(each, n.left.gpus / p.needs.gpus);
    sum += static_cast<double>(static_cast<std::int64_t>(std::min(each, 1e6))) * n.max;
  }
  return sum;
}

void check_program(const Subject& s, const Pods& p, const std::vector<Nodes>& all, Report& report) {
  const std::vector<Nodes> candidates = nodes_for(all, p.pool);
  if (candidates.empty() || !any_known(candidates)) return;
  if (!fits_one(s, p, candidates, report)) return;
  const double room = room_for(p, candidates);
  if (room < 0 || p.max <= room) return;
  double count = 0;
  for (const Nodes& n : candidates) count += n.max;
  report.error(p.reader, p.bound, "not_enough_nodes",
               fmt::format("{} can have {:.0f} replicas, and {:.0f} node{} {} hold{} {:.0f} of them", p.what,
                           p.max, count, count == 1 ? "" : "s", where_to(p), count == 1 ? "s" : "", room),
               room >= 1 ? fmt::format("allow at most {:.0f}, or more nodes", room)
                         : "allow the pool at least one node");
}

// Requests, limits and devices of one program by themselves.
void check_amounts(const Pods& p, Report& report) {
  const std::string limits = "resources.limits";
  for (const char* resource : {"cpu", "memory"}) {
    const double request = p.needs.of(resource), limit = p.limits.of(resource);
    if (limit <= 0 || request <= limit) continue;
    if (!p.reader.has("resources")) continue;
    const std::string written = fmt::format("{}.{}", p.requests, resource);
    const bool given = p.reader.has(fmt::format("{}.{}", limits, resource));
    report.error(p.reader, p.reader.has(written) ? written : fmt::format("{}.{}", limits, resource),
                 "request_above_limit",
                 fmt::format("{} asks for {} of {}, and its limit is {}{}", p.what, shown(resource, request),
                             resource, shown(resource, limit), given ? "" : ", the default"),
                 fmt::format("set resources.limits.{} to {} or more", resource, shown(resource, request)));
  }
  if (p.needs.gpus != static_cast<double>(static_cast<std::int64_t>(p.needs.gpus))) {
    report.error(p.reader, p.requests + ".nvidia.com/gpu", "gpu_fraction",
                 fmt::format("{} asks for a part of a GPU", p.what), "ask for whole GPUs");
  } else if (p.limits.gpus > 0 && p.limits.gpus != p.needs.gpus) {
    report.error(
        p.reader, limits + ".nvidia.com/gpu", "gpu_unequal",
        fmt::format("{} asks for {:.0f} of nvidia.com/gpu and has a limit of {:.0f}: devices are not shared",
                    p.what, p.needs.gpus, p.limits.gpus),
        "write the same number in requests and limits");
  }
}

// All programs at their fewest and all parts, against all nodes at their most.
void check_sum(const Subject& s, const std::vector<Nodes>& all, const std::vector<Pods>& programs,
               Report& report) {
  if (all.empty() || s.small()) return;  // the budget of small machines says more
  Amounts have, need;
  double count = 0;
  const std::string placement = s.spec.text("components.placement");
  for (const Nodes& n : all) {
    const bool taken = placement.empty()             ? !n.tainted
                       : placement == "controlPlane" ? n.control_plane
                                                     : n.pool == placement;
    if (!taken) continue;
    if (!n.known) return;
    have += n.left * n.max;
    count += n.max;
  }
  if (count <= 0) return;
  for (const Share& part : parts(s, count)) need += part.needs;
  for (const Pods& p : programs) {
    if (p.pool.empty() && placement.empty()) need += p.needs * p.min;
  }
  const std::string_view short_of = have.lacks(need);
  if (short_of.empty() || short_of == "nvidia.com/gpu") return;
  const bool pools = !s.hosts();
  report.error(
      s.spec, pools ? "pools" : "infrastructure." + s.site + ".hosts", "not_enough_nodes",
      fmt::format("all parts and programs ask for {} of {} at least, and {:.0f} nodes leave {}",
                  shown(short_of, need.of(short_of)), short_of, count, shown(short_of, have.of(short_of))),
      pools ? "allow more nodes, choose larger machines, or leave parts out"
            : "add hosts, or leave parts out");
}

// Parts of the platform need a node without taints, or a place that is named.
void check_somewhere(const Subject& s, const std::vector<Nodes>& all, const std::vector<Pods>& programs,
                     Report& report) {
  if (all.empty() || !nodes_for(all, {}).empty()) return;
  if (s.spec.text("components.placement").empty()) {
    report.error(s.spec, "components", "nowhere_to_run",
                 "every node has a taint, so no part of the platform has a node",
                 s.hosts() ? "add components.placement: controlPlane, or a host without a tainted pool"
                           : "add a pool without taints, or components.placement: POOL");
  }
  for (const Pods& p : programs) {
    if (!p.pool.empty() || p.what.starts_with("the data")) continue;
    report.error(p.reader, "pool", "nowhere_to_run",
                 fmt::format("every node has a taint, and {} names no pool", p.what), "add pool: NAME");
  }
}

void check_pool(const Subject& s, const Nodes& n, Report& report) {
  if (n.known && (n.whole.cpu > 0 && (n.left.cpu <= 0 || n.left.memory <= 0))) {
    report.error(n.reader, n.path, "reserve_above_node",
                 fmt::format("the node {} has {} of cpu and {} of memory, and keeps all of it for itself",
                             n.name, shown("cpu", n.whole.cpu), shown("memory", n.whole.memory)),
                 "lower reserve, or choose a larger machine");
  }
  if (s.hosts() || !n.known) return;
  const bool wanted = n.reader.text("gpu.vendor") == "nvidia";
  const double said = static_cast<double>(n.reader.integer("gpu.count"));
  if (n.path == "instanceTypes" && wanted && said != n.whole.gpus) {
    report.error(n.reader, n.reader.has("gpu.count") ? "gpu.count" : "gpu", "gpu_count_wrong",
                 fmt::format("a node of {} is said to have {:.0f} GPU{}, and {} has {:.0f}", n.name, said,
                             said == 1 ? "" : "s", n.reader.list("instanceTypes").front(), n.whole.gpus),
                 n.whole.gpus > 0 ? fmt::format("write gpu: {{vendor: nvidia, count: {:.0f}}}", n.whole.gpus)
                                  : "choose instanceTypes with GPUs, or remove gpu");
  }
  if (n.path == "instanceTypes" && !wanted && n.whole.gpus > 0) {
    report.error(n.reader, "instanceTypes", "gpu_not_declared",
                 fmt::format("{} has {:.0f} GPUs, and the pool {} does not say so: they would stand idle",
                             n.reader.list("instanceTypes").front(), n.whole.gpus, n.name),
                 fmt::format("add gpu: {{vendor: nvidia, count: {:.0f}}}", n.whole.gpus));
  }
}

}  // namespace

void check_capacity(const Subject& s, Report& report) {
  const std::vector<Nodes> all = nodes(s);
  const std::vector<Pods> every = programs(s);
  for (const Nodes& n : all) check_pool(s, n, report);
  for (const Pods& p : every) {
    check_amounts(p, report);
    if (!s.small()) check_program(s, p, all, report);
  }
  check_somewhere(s, all, every, report);
  check_sum(s, all, every, report);
}

}  // namespace tg::verify
