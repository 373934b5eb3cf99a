// What stands before the API servers. haproxy.cfg and keepalived.conf are formats of their own: text, line by
// line.
#include <fmt/format.h>

#include "render/infrastructure/machines.hpp"

namespace tg::render {

namespace {

std::string haproxy(const Context& context, const std::vector<Host>& all) {
  const int port = endpoint(context, all).port;
  std::string out =
      "global\n"
      "    log /dev/log local0\n"
      "    log /dev/log local1 notice\n"
      "    chroot /var/lib/haproxy\n"
      "    stats socket /run/haproxy/admin.sock mode 660 level admin expose-fd listeners\n"
      "    stats timeout 30s\n"
      "    user haproxy\n"
      "    group haproxy\n"
      "    daemon\n"
      "    maxconn 20000\n"
      "\n"
      "defaults\n"
      "    log global\n"
      "    mode tcp\n"
      "    option tcplog\n"
      "    option dontlognull\n"
      "    option clitcpka\n"
      "    option srvtcpka\n"
      "    timeout connect 5s\n"
      "    timeout check 5s\n"
      "    timeout queue 30s\n"
      "    # Watches, logs that are followed and shells are silent for long; a minute would cut them.\n"
      "    timeout client 1h\n"
      "    timeout server 1h\n"
      "    timeout tunnel 24h\n"
      "    timeout client-fin 30s\n"
      "\n"
      "frontend kubernetes\n";
  out += fmt::format("    bind *:{}\n", port);
  out +=
      "    default_backend kubernetes-control-planes\n"
      "\n"
      "backend kubernetes-control-planes\n"
      "    balance roundrobin\n"
      "    # A port that is open is not yet an API server that is ready.\n"
      "    option httpchk\n"
      "    http-check send meth GET uri /readyz\n"
      "    http-check expect status 200\n"
      "    # Only the check leaves the certificate alone: clients verify it themselves, end to end.\n"
      "    default-server check check-ssl verify none inter 3s fall 3 rise 2 on-marked-down "
      "shutdown-sessions\n";
  for (const Host& h : with_role(all, "control-plane"))
    out += fmt::format("    server {} {}:6443\n", h.name.substr(0, h.name.find('.')), h.address);
  out +=
      "\n"
      "frontend metrics\n"
      "    mode http\n"
      "    bind *:8405\n"
      "    no log\n"
      "    timeout client 10s\n"
      "    timeout http-request 5s\n"
      "    http-request use-service prometheus-exporter if { path /metrics }\n"
      "    http-request return status 404\n";
  return out;
}

std::string keepalived(const Context& context, const std::vector<Host>& balancers, std::size_t index) {
  const std::string shared = context.infrastructure().text("virtualAddress");
  const std::string last = shared.substr(shared.rfind('.') + 1);
  std::string out =
      "global_defs {\n"
      "    enable_script_security\n"
      "    script_user nobody nogroup\n"
      "    vrrp_garp_master_refresh 60\n"
      "}\n"
      "\n"
      "vrrp_script haproxy {\n"
      "    script \"/usr/bin/systemctl is-active --quiet haproxy.service\"\n"
      "    interval 2\n"
      "    fall 2\n"
      "    rise 2\n"
      "}\n"
      "\n"
      "vrrp_instance kubernetes {\n"
      "    state BACKUP\n"
      "    interface @INTERFACE@\n";
  out += fmt::format("    virtual_router_id {}\n    priority {}\n", last, 150 - 10 * static_cast<int>(index));
  out += fmt::format("    advert_int 1\n    nopreempt\n    unicast_src_ip {}\n    unicast_peer {{\n",
                     balancers[index].address);
  for (std::size_t i = 0; i < balancers.size(); ++i) {
    if (i != index) out += fmt::format("        {}\n", balancers[i].address);
  }
  out += fmt::format(
      "    }}\n    virtual_ipaddress {{\n        {}\n    }}\n    track_script {{\n        haproxy\n    "
      "}}\n}}\n",
      shared);
  return out;
}

}  // namespace

std::vector<Extra> load_balancer_files(const Context& context, const std::vector<Host>& all) {
  const std::vector<Host> balancers = with_role(all, "load-balancer");
  const spec::Reader site = context.infrastructure();
  const std::string shared = site.text("virtualAddress");
  if (!shared.empty() && balancers.size() < 2) {
    context.refuse("cannot_render", site.at("virtualAddress"), site.where("virtualAddress"),
                   fmt::format("an address is shared by two or more load balancers; the document has {}",
                               balancers.size()),
                   "add a host with role: loadBalancer, or leave virtualAddress out");
    return {};
  }
  if (balancers.size() > 1 && shared.empty()) {
    context.refuse(
        "cannot_render", site.at("hosts"), site.where("hosts"),
        "several load balancers without an address that they share: the second one gets no traffic",
        "write virtualAddress beside hosts");
    return {};
  }
  if (balancers.empty()) return {};
  std::vector<Extra> out{
      settings("load-balancer/haproxy.cfg", "Before the API servers.", haproxy(context, all))};
  for (std::size_t i = 0; i < balancers.size() && !shared.empty(); ++i) {
    out.push_back(settings(fmt::format("load-balancer/keepalived-{}.conf", balancers[i].name),
                           "The shared address stays with the machine whose HAProxy answers.",
                           keepalived(context, balancers, i)));
  }
  return out;
}

}  // namespace tg::render
