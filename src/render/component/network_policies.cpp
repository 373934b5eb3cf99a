// Default deny in every namespace of the platform, DNS, and one policy per group of pods and direction with
// the edges that the parts declared. Nothing else opens a way.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <tuple>

#include "render/component/cluster_dns.hpp"
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

// Pods ask the API server by the first address of the services. Some networks judge a packet before that is
// replaced by a machine's, others after.
void add_api_service(const Context& context, std::vector<std::string>& cidrs) {
  const std::string services = context.service_cidr();
  const std::size_t slash = services.find('/'), dot = services.rfind('.', slash);
  if (slash == std::string::npos || dot == std::string::npos || cidrs.front() == "0.0.0.0/0") return;
  const int last = std::atoi(services.substr(dot + 1, slash - dot - 1).c_str());
  cidrs.push_back(fmt::format("{}.{}/32", services.substr(0, dot), last + 1));
}

// GKE and AKS enforce policies with Cilium, which knows nodes by what they are: a range of addresses never
// means a node. There the port alone says what may be asked of nodes; kubelets reach their own pods always.
bool nodes_have_addresses(const Context& context) {
  return context.site() != Site::google && context.site() != Site::azure;
}

// Calls of their API servers come out of a tunnel that ends in these pods.
Json tunnel(const Context& context) {
  const char* key = context.site() == Site::google ? "k8s-app" : "app";
  Json out{{"namespaceSelector", {{"matchLabels", {{"kubernetes.io/metadata.name", "kube-system"}}}}}};
  out["podSelector"]["matchLabels"] = {{key, "konnectivity-agent"}};
  return out;
}

// Where an API server is asked and where its calls come from.
Json api_server(const Context& context, bool egress) {
  std::vector<std::string> addresses = machine_addresses(context);
  // A public API server of AKS has a public address inside too.
  if (context.site() == Site::azure && context.spec().text("access.api") == "public")
    addresses = {"0.0.0.0/0"};
  if (egress) add_api_service(context, addresses);
  Json out = blocks(addresses);
  if (!egress && !nodes_have_addresses(context)) out.push_back(tunnel(context));
  return out;
}

// No peers: everybody.
Json peer_json(const Context& context, const Peer& peer, bool egress = false) {
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
      return api_server(context, egress);
    case Peer::Kind::nodes:
      return egress && !nodes_have_addresses(context) ? Json::array() : blocks(machine_addresses(context));
  }
  return Json::array();
}

// An API server is asked at its own port or through its Service; policies see the former.
std::vector<Port> api_ports(const Context& context) {
  return {{"https", 443}, {"api", context.site() == Site::open_telekom_cloud ? 5443 : 6443}};
}

// Namespaces whose pods speak through tunnels of the mesh.
std::set<std::string> tunnelled(const std::vector<Part>& parts) {
  std::set<std::string> out;
  for (const Part& p : parts) {
    for (const Namespace& n : p.namespaces) {
      const auto it = n.labels.find("istio.io/dataplane-mode");
      if (it != n.labels.end() && it->second == "ambient") out.insert(n.name);
    }
  }
  return out;
}

bool through_tunnel(const std::set<std::string>& in_mesh, const Edge& edge) {
  const auto inside = [&](const Peer& peer) {
    return peer.kind == Peer::Kind::any_pod || (peer.kind == Peer::Kind::pods && in_mesh.contains(peer.ns));
  };
  return !edge.ports.empty() && !in_mesh.empty() && inside(edge.from) && inside(edge.to);
}

// Kubelets' probes reach pods of the mesh from this address.
void add_mesh_probes(Part& part, const std::string& ns) {
  Json o = object("networking.k8s.io/v1", "NetworkPolicy", "mesh-probes", ns);
  o["metadata"]["annotations"] = {{"tidegate.dev/why", "kubelets probe, the mesh hands it on"}};
  Json rule;
  rule["from"] = blocks({"169.254.7.127/32"});
  o["spec"] = {{"podSelector", Json::object()}, {"policyTypes", Json::array({"Ingress"})}};
  o["spec"]["ingress"] = Json::array({std::move(rule)});
  part.add(ns + ".yaml", std::move(o));
}

Json ports_json(const Context& context, const Edge& edge) {
  std::vector<Port> ports = edge.ports;
  if (ports.empty() && edge.to.kind == Peer::Kind::api_server) ports = api_ports(context);
  Json out = Json::array();
  for (const Port& p : ports) out.push_back({{"protocol", p.protocol}, {"port", p.number}});
  return out;
}

// All label values; of a mark that only says "true", its name.
std::string long_slug(const Labels& labels) {
  std::string out;
  for (const auto& [key, value] : labels) {
    const std::string mark = key.substr(key.rfind('/') + 1);
    out += (out.empty() ? "" : "-") + (value == "true" ? mark : value);
  }
  std::replace_if(out.begin(), out.end(), [](char c) { return c == '.' || c == '_' || c == '/'; }, '-');
  return out;
}

// Short: the app's name, else all label values.
std::string slug(const Labels& labels) {
  if (labels.empty()) return "all";
  if (const auto it = labels.find("app.kubernetes.io/name"); it != labels.end()) return it->second;
  return long_slug(labels);
}

// What pods may do in one direction; what two parts say alike stands once.
struct Direction {
  std::vector<Json> rules;
  std::vector<std::string> why;
  std::set<std::string> known;  // the rules and the reasons, as text

  void add(Json rule, const std::string& reason) {
    if (!known.insert(rule.dump()).second) return;
    rules.push_back(std::move(rule));
    if (!reason.empty() && known.insert("why " + reason).second) why.push_back(reason);
  }
};

Json policy(const std::string& ns, const std::string& name, const Labels& labels, bool ingress) {
  Json out = object("networking.k8s.io/v1", "NetworkPolicy", name, ns);
  Json selector = Json::object();
  if (!labels.empty()) selector["matchLabels"] = to_json(labels);
  out["spec"] = {{"podSelector", std::move(selector)}, {"policyTypes", {ingress ? "Ingress" : "Egress"}}};
  return out;
}

// Google's nodes answer names themselves, by pods of their own.
std::vector<Labels> name_servers(const Context& context) {
  std::vector<Labels> out{cluster_dns(context).pods};
  if (context.site() == Site::google) out.push_back({{"k8s-app", "node-local-dns"}});
  return out;
}

Json dns_ports(const ClusterDns& resolvers) {
  Json out = Json::array();
  for (const char* protocol : {"UDP", "TCP"}) {
    out.push_back({{"protocol", protocol}, {"port", 53}});
    if (resolvers.port != 53) out.push_back({{"protocol", protocol}, {"port", resolvers.port}});
  }
  return out;
}

void add_base(Part& part, const Context& context, const std::string& ns) {
  Json deny = object("networking.k8s.io/v1", "NetworkPolicy", "default-deny", ns);
  deny["spec"] = {{"podSelector", Json::object()}, {"policyTypes", {"Ingress", "Egress"}}};
  part.add(ns + ".yaml", std::move(deny));
  Json dns = policy(ns, "dns", {}, false);
  const ClusterDns resolvers = cluster_dns(context);
  Json to = Json::array();
  for (const Labels& pods : name_servers(context))
    to.push_back(peer_json(context, Peer::pods("kube-system", pods)).front());
  Json rule;
  rule["to"] = std::move(to);
  rule["ports"] = dns_ports(resolvers);
  dns["spec"]["egress"] = Json::array({std::move(rule)});
  part.add(ns + ".yaml", std::move(dns));
}

// kube-system belongs to the distribution: its pods may go where they like, but only DNS, the API server's
// calls (webhooks, aggregated APIs), scrapes and what parts declare comes in.
void add_system(const Context& context, Part& part) {
  const std::string ns = "kube-system";
  Json deny = object("networking.k8s.io/v1", "NetworkPolicy", "default-deny-ingress", ns);
  deny["spec"] = {{"podSelector", Json::object()}, {"policyTypes", Json::array({"Ingress"})}};
  part.add(ns + ".yaml", std::move(deny));
  const auto allow = [&](const std::string& name, const Labels& to, const Edge& edge) {
    Json o = policy(ns, name, to, true);
    o["metadata"]["annotations"] = {{"tidegate.dev/why", edge.why}};
    Json rule{{"from", peer_json(context, edge.from)}};
    if (Json ports = ports_json(context, edge); !ports.empty()) rule["ports"] = std::move(ports);
    o["spec"]["ingress"] = Json::array({std::move(rule)});
    part.add(ns + ".yaml", std::move(o));
  };
  const auto [dns, dns_port] = cluster_dns(context);
  for (const Labels& pods : name_servers(context))
    allow(pods == dns ? "dns" : "dns-of-nodes", pods,
          {.from = Peer::any_pod(),
           .ports = {{"dns", dns_port, "UDP"}, {"dns-tcp", dns_port}},
           .why = "every pod looks names up; answers that are too long come over TCP"});
  allow("dns-nodes", dns,
        {.from = Peer::nodes(),
         .ports = {{"dns", dns_port, "UDP"}, {"dns-tcp", dns_port}, {"health", 8080}, {"ready", 8181}},
         .why = "kubelets probe, pods in the network of their host ask"});
  allow("metrics-server", {{"k8s-app", "metrics-server"}},
        {.from = Peer::nodes(),
         .ports = {{"https", 10250}, {"https", 4443}},
         .why = "API servers ask for metrics of pods"});
  allow("metrics-server-chart", {{"app.kubernetes.io/name", "metrics-server"}},
        {.from = Peer::nodes(), .ports = {{"https", 10250}}, .why = "API servers ask for metrics of pods"});
  // Webhooks that run here, whoever brought them: the API server calls from a node's address.
  allow("api-server-calls", {},
        {.from = Peer::api_server(),
         .ports = {{"https", 443}, {"webhook", 8443}, {"webhook", 9443}, {"api", 6443}, {"kubelet", 10250}},
         .why = "the API server calls webhooks and aggregated APIs"});
  if (context.has("metrics")) {
    allow("dns-scrapes", dns,
          {.from = prometheus_peer(), .ports = {{"metrics", 9153}}, .why = "scrapes metrics"});
  }
  if (context.site() == Site::k3s && context.use("gateway") == "traefik") {
    // k3s runs the gateway and its load balancer here.
    allow("gateway", {{"app.kubernetes.io/name", "traefik"}},
          {.from = Peer::everywhere(),
           .ports = {{"web", 8000}, {"websecure", 8443}},
           .why = "requests from outside"});
    allow("gateway-probes", {{"app.kubernetes.io/name", "traefik"}},
          {.from = Peer::nodes(), .ports = {{"traefik", 8080}}, .why = "kubelets probe"});
  }
  if (context.site() == Site::k3s && context.has("gateway")) {
    // Pods of k3s take requests on every node and hand them to the gateway's Service.
    allow("load-balancer", {{"svccontroller.k3s.cattle.io/svcnamespace", gateway_peer(context).ns}},
          {.from = Peer::everywhere(),
           .ports = {{"web", 80}, {"websecure", 443}},
           .why = "requests from outside"});
  }
}

}  // namespace

std::vector<Part> network_policies(const Context& context, const std::vector<Part>& parts) {
  std::set<std::string> ours;
  for (const Part& p : parts) {
    for (const Namespace& n : p.namespaces) ours.insert(n.name);
  }
  const bool isolate = context.spec().flag("cluster.isolateSystem") && context.site() != Site::existing;
  // Namespace, selector, direction (true: ingress).
  std::map<std::tuple<std::string, Labels, bool>, Direction> all;
  const auto put = [&](const Peer& at, const Edge& edge, bool ingress) {
    const bool system = isolate && ingress && at.ns == "kube-system";
    if (at.kind != Peer::Kind::pods || (!ours.contains(at.ns) && !system)) return;
    Json rule = Json::object();
    if (Json peers = ingress ? peer_json(context, edge.from) : peer_json(context, edge.to, true);
        !peers.empty())
      rule[ingress ? "from" : "to"] = std::move(peers);
    if (Json ports = ports_json(context, edge); !ports.empty()) rule["ports"] = std::move(ports);
    all[{at.ns, at.labels, ingress}].add(std::move(rule), edge.why);
  };
  const std::set<std::string> in_mesh = tunnelled(parts);
  for (const Part& p : parts) {
    for (Edge edge : p.edges) {
      // Between two pods of the mesh policies see its tunnel; the own port stays for those outside.
      if (through_tunnel(in_mesh, edge)) edge.ports.push_back({"hbone", 15008});
      put(edge.to, edge, true);
      put(edge.from, edge, false);
    }
  }
  Part part = component("network-policies");
  part.after = {"namespaces"};
  for (const std::string& ns : ours) add_base(part, context, ns);
  for (const std::string& ns : in_mesh) add_mesh_probes(part, ns);
  if (isolate) add_system(context, part);
  std::map<std::pair<std::string, std::string>, int> alike;
  const auto short_name = [](const Labels& labels, bool ingress) {
    return fmt::format("{}-{}", slug(labels), ingress ? "from" : "to");
  };
  for (const auto& [key, direction] : all) {
    const auto& [ns, labels, ingress] = key;
    ++alike[{ns, short_name(labels, ingress)}];
  }
  for (auto& [key, direction] : all) {
    const auto& [ns, labels, ingress] = key;
    std::string name = short_name(labels, ingress);
    // A narrower choice among the pods of one app: under the same name one would replace the other.
    if (alike[{ns, name}] > 1 && labels.size() > 1)
      name = fmt::format("{}-{}", long_slug(labels), ingress ? "from" : "to");
    Json o = policy(ns, name, labels, ingress);
    o["metadata"]["annotations"] = {{"tidegate.dev/why", fmt::format("{}", fmt::join(direction.why, "; "))}};
    o["spec"][ingress ? "ingress" : "egress"] = direction.rules;
    part.add(ns + ".yaml", std::move(o));
  }
  if (part.manifests.empty()) return {};
  return {std::move(part)};
}

}  // namespace tg::render
