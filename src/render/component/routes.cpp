// Everything that is published: one Gateway, a certificate for each name (or one for all), a route for each
// part that wants to be reached. A collector: parts only say what they publish.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "render/component/components.hpp"
#include "render/component/ingress.hpp"

namespace tg::render {

namespace {

// Listeners bear the ports of the proxy: Traefik matches them with its entry points, which are not
// privileged.
struct Ports {
  int http, https;
};
Ports listener_ports(const std::string& use) { return use == "traefik" ? Ports{8000, 8443} : Ports{80, 443}; }

std::string gateway_class(const std::string& use) { return use == "envoy-gateway" ? "platform" : use; }

std::string slug(std::string host) {
  std::replace(host.begin(), host.end(), '.', '-');
  if (host.starts_with('*')) host = "wildcard" + host.substr(1);
  return host;
}

// The names that one wildcard certificate covers get one; all others their own.
std::string certificate_of(const std::string& host, const std::string& wildcard_domain) {
  if (!wildcard_domain.empty()) {
    if (host == wildcard_domain) return slug("*." + wildcard_domain);
    const std::size_t dot = host.find('.');
    if (dot != std::string::npos && host.substr(dot + 1) == wildcard_domain)
      return slug("*." + wildcard_domain);
  }
  return slug(host);
}

Json certificate(const std::string& name, const std::set<std::string>& hosts, const std::string& issuer) {
  Json out = object("cert-manager.io/v1", "Certificate", name, kGatewayNamespace);
  out["spec"] = {{"secretName", name + "-tls"},
                 {"dnsNames", std::vector<std::string>(hosts.begin(), hosts.end())},
                 {"duration", "2160h"},
                 {"renewBefore", "720h"},
                 {"privateKey", {{"algorithm", "ECDSA"}, {"size", 256}, {"rotationPolicy", "Always"}}},
                 {"issuerRef", {{"name", issuer}, {"kind", "ClusterIssuer"}}}};
  return out;
}

Json allowed_routes() {
  return {{"namespaces",
           {{"from", "Selector"}, {"selector", {{"matchLabels", {{"tidegate.dev/published", "true"}}}}}}}};
}

Json parent(const std::string& section) {
  return {{"name", kGatewayName}, {"namespace", kGatewayNamespace}, {"sectionName", section}};
}

Json route(const Context& context, const Published& p) {
  Json out = object("gateway.networking.k8s.io/v1", "HTTPRoute", route_name(p), p.ns);
  Json rule{{"matches", Json::array({{{"path", {{"type", "PathPrefix"}, {"value", p.path}}}}})},
            {"backendRefs", Json::array({{{"name", p.service}, {"port", p.port}}})}};
  Json filters = route_filters(context);
  // The sidecar of the gateway knows services by their own names only; the app finds the name that the client
  // asked for in x-forwarded-host.
  if (sidecars_in(context, p.ns)) {
    const std::string inside = fmt::format("{}.{}.svc.cluster.local", p.service, p.ns);
    filters.push_back({{"type", "URLRewrite"}, {"urlRewrite", {{"hostname", inside}}}});
  }
  if (!filters.empty()) rule["filters"] = std::move(filters);
  // A stream of tokens or a socket has no end that a proxy could know.
  if (p.web_socket) rule["timeouts"] = {{"request", "0s"}};
  out["spec"] = {{"parentRefs", Json::array({parent(slug(p.host))})},
                 {"hostnames", Json::array({p.host})},
                 {"rules", Json::array({std::move(rule)})}};
  return out;
}

Json redirect() {
  Json out = object("gateway.networking.k8s.io/v1", "HTTPRoute", "to-https", kGatewayNamespace);
  Json filter{{"type", "RequestRedirect"},
              {"requestRedirect", {{"scheme", "https"}, {"port", 443}, {"statusCode", 301}}}};
  out["spec"] = {{"parentRefs", Json::array({parent("http")})},
                 {"rules", Json::array({{{"filters", Json::array({std::move(filter)})}}})}};
  return out;
}

std::string gateway_service(const Context& context) {
  const Peer pods = gateway_peer(context);
  return fmt::format("kubectl -n {} get service\n", pods.ns);
}

// Where requests come in and where names must lead, as far as no cloud's Terraform writes that.
std::string entrance(const Context& context) {
  if (const auto ports = gateway_node_ports(context))
    return fmt::format(
        "What stands before the cluster hands port 80 on to port {} and port 443 to port {} of the nodes, as "
        "plain TCP, and asks at these ports which nodes answer: those without a proxy of the gateway do not. "
        "Names lead to what stands before the cluster.\n",
        ports->http, ports->https);
  if (context.site() == Site::k3s) {
    std::string addresses;
    for (const auto& [name, host] : context.infrastructure().named("hosts"))
      addresses += fmt::format("{}{} ({})", addresses.empty() ? "" : ", ", host.text("address"), name);
    return fmt::format(
        "k3s takes requests at ports 80 and 443 of its machines and hands them to the gateway: let both "
        "ports "
        "through what stands before the machines. Names lead there: A records with {}; of several machines, "
        "those that the Service names as its EXTERNAL-IP, which are those with a proxy.\n\n```sh\n{}```\n",
        addresses, gateway_service(context));
  }
  return "The cluster gives the gateway's Service an address; names lead there. While its EXTERNAL-IP is "
         "pending, nothing in the cluster gives addresses: add MetalLB, kube-vip or what the cluster's owner "
         "offers, or write `components.gateway.nodePorts` and hand requests over to these ports.\n\n```sh\n" +
         gateway_service(context) + "```\n";
}

Section names_section(const Context& context, const std::set<std::string>& hosts) {
  std::string text = entrance(context);
  text += "\nOnly then the certificates come. Names:\n\n";
  for (const std::string& host : hosts) text += fmt::format("- {}\n", host);
  return {Section::Chapter::first_steps, "Names lead to the gateway", std::move(text)};
}

}  // namespace

std::string route_name(const Published& p) {
  if (p.path == "/") return slug(p.host);
  std::string path = p.path;
  while (path.ends_with('/')) path.pop_back();
  std::replace(path.begin(), path.end(), '/', '-');
  return slug(p.host) + path;
}

Peer gateway_peer(const Context& context) {
  const std::string use = context.use("gateway");
  if (use == "traefik")
    return Peer::pods(context.site() == Site::k3s ? "kube-system" : kGatewayNamespace,
                      {{"app.kubernetes.io/name", "traefik"}});
  if (use == "ingress-nginx")
    return Peer::pods(kGatewayNamespace, {{"app.kubernetes.io/name", "ingress-nginx"}});
  if (use == "istio")
    return Peer::pods(kGatewayNamespace, {{"gateway.networking.k8s.io/gateway-name", kGatewayName}});
  return Peer::pods(kGatewayNamespace, {{"gateway.envoyproxy.io/owning-gateway-name", kGatewayName}});
}

std::vector<Part> routes(const Context& context, const std::vector<Part>& parts) {
  if (!context.has("gateway")) return {};
  std::vector<Published> all;
  for (const Part& p : parts) all.insert(all.end(), p.published.begin(), p.published.end());
  if (all.empty()) return {};
  const std::string use = context.use("gateway");
  const spec::Reader certificates = context.component("certificates");
  const std::string wildcard = certificates.flag("wildcard") ? context.spec().text("domain") : std::string();
  const bool tls = context.has("certificates");

  Part part = component("routes");
  // Proxies get their sidecars when they are made: with the Gateway, if the mesh is there by then.
  part.after = {"certificates", "gateway", "mesh"};
  part.namespaces.push_back({.name = kGatewayNamespace, .labels = {{"tidegate.dev/published", "true"}}});
  std::map<std::string, std::set<std::string>> names;  // certificate → names in it
  std::set<std::string> hosts;
  for (const Published& p : all) {
    hosts.insert(p.host);
    const std::string name = certificate_of(p.host, wildcard);
    names[name].insert(p.host);
    if (name.starts_with("wildcard")) {
      names[name] = {"*." + wildcard, wildcard};
    }
    part.namespaces.push_back({.name = p.ns, .labels = {{"tidegate.dev/published", "true"}}});
    part.edges.push_back({.from = gateway_peer(context),
                          .to = Peer::pods(p.ns, p.pods),
                          .ports = {{"http", p.pod_port}},
                          .why = fmt::format("{} is published", p.host)});
  }
  if (!context.cloud()) part.sections.push_back(names_section(context, hosts));
  if (use == "ingress-nginx") {
    add_ingresses(part, context, all);
    return {std::move(part)};
  }
  const Ports ports = listener_ports(use);
  Json listeners = Json::array();
  listeners.push_back(
      {{"name", "http"}, {"protocol", "HTTP"}, {"port", ports.http}, {"allowedRoutes", allowed_routes()}});
  for (const std::string& host : hosts) {
    Json listener{{"name", slug(host)}, {"hostname", host}};
    listener["protocol"] = tls ? "HTTPS" : "HTTP";
    listener["port"] = tls ? ports.https : ports.http;
    if (tls) {
      listener["tls"] = {
          {"mode", "Terminate"},
          {"certificateRefs", Json::array({{{"name", certificate_of(host, wildcard) + "-tls"}}})}};
    }
    listener["allowedRoutes"] = allowed_routes();
    listeners.push_back(std::move(listener));
  }
  Json gateway = object("gateway.networking.k8s.io/v1", "Gateway", kGatewayName, kGatewayNamespace);
  gateway["spec"] = {{"gatewayClassName", gateway_class(use)}, {"listeners", std::move(listeners)}};
  part.add("gateway.yaml", std::move(gateway));
  if (tls) {
    part.add("gateway.yaml", redirect());
    for (const auto& [name, dns_names] : names)
      part.add("certificates.yaml", certificate(name, dns_names, certificate_issuer(context)));
  }
  for (const Published& p : all) part.add("routes.yaml", route(context, p));
  add_gateway_policies(part, context, all);
  return {std::move(part)};
}

}  // namespace tg::render
