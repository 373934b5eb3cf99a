// What the files of the gateway, its routes and the mesh know of each other.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render {

// A proxy of the mesh stands beside every pod of this namespace.
bool sidecars_in(const Context& context, const std::string& ns);
// Beside pods of any namespace.
bool sidecars_anywhere(const Context& context);
// Port at which a sidecar shows, outside of its encryption, what it and its program measure.
inline constexpr int kSidecarMetrics = 15020;
// Where a mesh fetches the images of its sidecars.
inline constexpr const char* kMeshImages = "registry.istio.io/release";

// "100/s" is 100 a Second, as the gateway's objects name units.
struct RateLimit {
  int requests = 0;
  std::string unit{};  // Second, Minute, Hour
};
std::optional<RateLimit> parse_limit(const std::string& rate);
// What the firewall is told before its rules, line by line; nothing without a firewall.
std::vector<std::string> firewall_rules(const Context&);
// The same lines as a file that any engine reads.
void add_firewall_file(Part& part, const Context& context);
// Headers of every answer, and what pages may load.
Json strict_headers();
Json content_policy();
// The Secret of the operators' login in a namespace, told once.
std::string login_secret(Part& part, const Context& context, const std::string& ns);
// Ports of every node at which something before the cluster hands requests over, if the document has it so.
struct NodePorts {
  int http = 0, https = 0;
};
std::optional<NodePorts> gateway_node_ports(const Context&);
// Without such ports the cluster gives the gateway an address: clouds, ServiceLB of k3s, what an existing
// cluster has. Requests come in at 80 and 443 there.
std::string gateway_service_type(const Context&);
// How the load balancer of each cloud hands over the client's address.
Labels balancer_annotations(const Context&);

// ingress-nginx: the controller, and Ingress objects in place of routes.
Part ingress_nginx(const Context&);
void add_ingresses(Part& part, const Context& context, const std::vector<Published>& all);

}  // namespace tg::render
