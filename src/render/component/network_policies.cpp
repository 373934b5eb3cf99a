// Default deny in every namespace of the platform, DNS, and one policy per group of pods and direction with
// the edges that the parts declared. Nothing else opens a way.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "render/component/components.hpp"

namespace tg::render {

namespace {

// Where the machines are, API servers among them, as far as the documents say.
std::vector<std::string> machine_addresses(const Context& context) {
  std::vector<std::string> out;
  const spec::Reader site = context.infrastructure();
  switch (context.site()) {
    case Site::machines:
      out.push_back(site.text("network.cidr"));
      break;
    case Site::k3s:
      for (const auto& [name, host] : site.named("hosts")) out.push_back(host.text("address") + "/32");
      break;
    case Site::open_telekom_cloud:
    case Site::aws:
    case Site::google:
    case Site::azure:
      out.push_back(site.text("network.cidr"));
      break;
    case Site::cluster_api:
    case Site::existing:
      break;
  }
  if (out.empty()) out.emplace_back("0.0.0.0/0");
  return out;
}

Json blocks(const std::vector<std::string>& cidrs) {
  Json out = Json::array();
  for (const std::string& c : cidrs) out.push_back({{"ipBlock", {{"cidr", c}}}});
  return out;
}

Json peer_json(const Context& context, const Peer& peer) {
  switch (peer.kind) {
    case Peer::Kind::pods: {
      Json out{{"namespaceSelector", {{"matchLabels", {{"kubernetes.io/metadata.name", peer.ns}}}}}};
      if (!peer.labels.empty()) out["podSelector"] = {{"matchLabels", to_json(peer.labels)}};
      return Json::array({std::move(out)});
    }
    case Peer::Kind::any_pod:
      return Json::array({{{"namespaceSelector", Json::object()}}});
    case Peer::Kind::cidr:
      return blocks({peer.cidr});
    case Peer::Kind::everywhere:
      return blocks({"0.0.0.0/0"});
    case Peer::Kind::api_server:
    case Peer::Kind::nodes:
      return blocks(machine_addresses(context));
  }
  return Json::array();
}

Json ports_json(const Edge& edge) {
  std::vector<Port> ports = edge.ports;
  // An API server is asked at its own port or through its Service.
  if (ports.empty() && edge.to.kind == Peer::Kind::api_server) ports = {{"https", 443}, {"api", 6443}};
  Json out = Json::array();
  for (const Port& p : ports) out.push_back({{"protocol", p.protocol}, {"port", p.number}});
  return out;
}

// Short and unique inside the namespace: the app's name, else all label values.
std::string slug(const Labels& labels) {
  if (labels.empty()) return "all";
  if (const auto it = labels.find("app.kubernetes.io/name"); it != labels.end()) return it->second;
  std::string out;
  for (const auto& [key, value] : labels) out += (out.empty() ? "" : "-") + value;
  std::replace_if(out.begin(), out.end(), [](char c) { return c == '.' || c == '_' || c == '/'; }, '-');
  return out;
}

struct Direction {
  std::vector<Json> rules;
  std::vector<std::string> why;
};

Json policy(const std::string& ns, const std::string& name, const Labels& labels, bool ingress) {
  Json out = object("networking.k8s.io/v1", "NetworkPolicy", name, ns);
  Json selector = Json::object();
  if (!labels.empty()) selector["matchLabels"] = to_json(labels);
  out["spec"] = {{"podSelector", std::move(selector)}, {"policyTypes", {ingress ? "Ingress" : "Egress"}}};
  return out;
}

void add_base(Part& part, const std::string& ns) {
  Json deny = object("networking.k8s.io/v1", "NetworkPolicy", "default-deny", ns);
  deny["spec"] = {{"podSelector", Json::object()}, {"policyTypes", {"Ingress", "Egress"}}};
  part.add(ns + ".yaml", std::move(deny));
  Json dns = policy(ns, "dns", {}, false);
  Json system{{"namespaceSelector", {{"matchLabels", {{"kubernetes.io/metadata.name", "kube-system"}}}}},
              {"podSelector", {{"matchLabels", {{"k8s-app", "kube-dns"}}}}}};
  dns["spec"]["egress"] = Json::array(
      {{{"to", Json::array({std::move(system)})},
        {"ports", Json::array({{{"protocol", "UDP"}, {"port", 53}}, {{"protocol", "TCP"}, {"port", 53}}})}}});
  part.add(ns + ".yaml", std::move(dns));
}

}  // namespace

std::vector<Part> network_policies(const Context& context, const std::vector<Part>& parts) {
  std::set<std::string> ours;
  for (const Part& p : parts) {
    for (const Namespace& n : p.namespaces) ours.insert(n.name);
  }
  // Namespace, selector, direction (true: ingress).
  std::map<std::tuple<std::string, Labels, bool>, Direction> all;
  const auto put = [&](const Peer& at, const Edge& edge, bool ingress) {
    if (at.kind != Peer::Kind::pods || !ours.contains(at.ns)) return;
    Json rule = Json::object();
    rule[ingress ? "from" : "to"] = peer_json(context, ingress ? edge.from : edge.to);
    if (Json ports = ports_json(edge); !ports.empty()) rule["ports"] = std::move(ports);
    Direction& d = all[{at.ns, at.labels, ingress}];
    if (std::find(d.rules.begin(), d.rules.end(), rule) != d.rules.end()) return;
    d.rules.push_back(std::move(rule));
    if (!edge.why.empty() && std::find(d.why.begin(), d.why.end(), edge.why) == d.why.end())
      d.why.push_back(edge.why);
  };
  for (const Part& p : parts) {
    for (const Edge& edge : p.edges) {
      put(edge.to, edge, true);
      put(edge.from, edge, false);
    }
  }
  Part part = component("network-policies");
  part.after = {"namespaces"};
  for (const std::string& ns : ours) add_base(part, ns);
  for (auto& [key, direction] : all) {
    const auto& [ns, labels, ingress] = key;
    Json o = policy(ns, fmt::format("{}-{}", slug(labels), ingress ? "from" : "to"), labels, ingress);
    o["metadata"]["annotations"] = {{"tidegate.dev/why", fmt::format("{}", fmt::join(direction.why, "; "))}};
    o["spec"][ingress ? "ingress" : "egress"] = direction.rules;
    part.add(ns + ".yaml", std::move(o));
  }
  if (part.manifests.empty()) return {};
  return {std::move(part)};
}

}  // namespace tg::render
