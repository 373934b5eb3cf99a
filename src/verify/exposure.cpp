// What is published: names, certificates, logins, the API server.
#include <fmt/format.h>

#include <algorithm>

#include "verify/cidr.hpp"
#include "verify/facts.hpp"

namespace tg::verify {

namespace {

bool below(std::string_view host, std::string_view domain) {
  if (host == domain) return true;
  return host.size() > domain.size() && host.ends_with(domain) &&
         host[host.size() - domain.size() - 1] == '.';
}

void add(const Published& p, Report& report, std::string_view code, std::string message, std::string hint) {
  if (p.path == "hosts") {
    const std::size_t open = p.where.rfind('[');
    const auto index = static_cast<std::size_t>(std::stoul(p.where.substr(open + 1)));
    report.error_in(p.reader, p.path, index, p.at, code, std::move(message), std::move(hint));
    return;
  }
  report.error(p.reader, p.path, code, std::move(message), std::move(hint));
}

void check_hosts(const Subject& s, Report& report) {
  const std::vector<Published> all = published(s);
  if (all.empty()) return;
  const std::string domain = s.spec.text("domain");
  const bool login = s.spec.has("access.login.oidc");
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Published& p = all[i];
    const bool ingress = p.what.starts_with("the TrainingRun") && p.reader.flag("chart.ingress.enabled");
    if (s.use("gateway") == "none" && !ingress)
      add(p, report, "needs_component",
          fmt::format("{} is published at {}, and there is no gateway", p.what, p.host),
          "write components.gateway: envoy-gateway, or remove the host");
    if (domain.empty())
      add(p, report, "needs_domain", fmt::format("{} is published, and the platform has no domain", p.host),
          "add domain: the parent of all hosts");
    else if (!below(p.host, domain))
      add(p, report, "host_outside_domain", fmt::format("{} is not below {}", p.host, domain),
          fmt::format("write NAME.{}, or change domain", domain));
    if (p.operators && !login)
      add(p, report, "needs_login",
          fmt::format("{} shows everything to whoever knows the name {}", p.what, p.host),
          "add access.login.oidc, or remove the host and use access.forward");
    for (std::size_t j = 0; j < i; ++j) {
      if (all[j].host == p.host && all[j].url_path == p.url_path)
        add(p, report, "host_taken", fmt::format("{} is the name of {} already", p.host, all[j].what),
            "give each its own name, or paths");
    }
  }
  if (s.use("certificates") == "none" && s.use("gateway") != "none")
    report.error(s.spec, "components.certificates", "no_certificate",
                 fmt::format("{} is published, and nobody fetches certificates", all.front().host),
                 "write components.certificates: cert-manager");
}

void check_certificates(const Subject& s, Report& report) {
  const spec::Reader c = s.spec.sub("components.certificates");
  if (s.use("certificates") == "none") return;
  const auto challenges = c.list("challenges");
  const bool dns = std::find(challenges.begin(), challenges.end(), "dns01") != challenges.end();
  const std::string issuer(c.chosen("issuer"));
  const bool acme = issuer.empty() || issuer == "letsencrypt";
  if (c.flag("wildcard") && acme && !dns)
    report.error(c, "wildcard", "wildcard_needs_dns01",
                 "the authority signs *.NAME only for whoever can write the DNS zone",
                 "add challenges: [dns01]");
  if (dns && acme && !s.cloud()) {
    const auto words = c.texts("challenges");
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (words[i].first == "dns01")
        report.error_in(c, "challenges", i, words[i].second, "no_dns",
                        fmt::format("{} has no DNS service that the platform could write to", s.site),
                        "write challenges: [http01]");
    }
  }
  if (acme && !published(s).empty() && c.text("email").empty() && s.spec.text("contacts.email").empty())
    report.error(s.spec, "components.certificates", "needs_email",
                 "the authority wants an account with a mail address", "add contacts.email, or email here");
  if (dns && s.cloud() && s.spec.text("domain").empty() && s.infrastructure().text("dns.zone").empty())
    report.error(c, "challenges", "needs_domain", "dns01 writes into a zone, and the platform has no domain",
                 "add domain, or infrastructure dns.zone");
  if (issuer == "selfSigned" && !published(s).empty())
    report.warning(c, "issuer", "self_signed", "browsers will warn of every name that is published",
                   "keep it for development; write issuer: letsencrypt for users");
}

void check_api(const Subject& s, Report& report) {
  const spec::Reader access = s.spec.sub("access");
  const bool open = access.text("api") == "public";
  if (open && access.list("from").empty())
    report.error(access, "api", "open_api", "the API server can be reached, and it is not said by whom",
                 "add from: [NETWORK], or write api: private");
  if (!open && access.has("from"))
    report.error(access, "from", "from_without_public", "the API server is private: from would hold nothing",
                 "write api: public, or remove from");
  const auto networks = access.texts("from");
  for (const auto& [network, at] : networks) {
    if (open && network == "0.0.0.0/0")
      report.warning(access, "from", "open_to_all",
                     "everybody can reach the API server; only its login holds them back",
                     "name the networks of those who need it");
  }
  if (!open && s.cloud() && !access.flag("bastion") && !access.has("vpn") && !access.has("peering"))
    report.warning(access, "api", "no_way_in", "the API server is private, and no way leads to it",
                   s.site == "openTelekomCloud" ? "add access.vpn or access.peering"
                                                : "add access.bastion: true, access.vpn or access.peering");
  if (access.has("login.oidc") && !access.text("login.oidc.issuer").starts_with("https://"))
    report.error(access, "login.oidc.issuer", "plain_http",
                 "a login over plain HTTP can be read and changed on its way", "write https://");
}

void check_limits(const Subject& s, Report& report) {
  const spec::Reader gateway = s.spec.sub("components.gateway");
  const std::string use = s.use("gateway");
  if (use == "none") {
    for (const char* field : {"rateLimit", "waf", "replicas", "headers", "nodePorts"}) {
      if (gateway.has(field))
        report.error(gateway, field, "needs_component",
                     fmt::format("there is no gateway, so {} would hold nothing", field),
                     "write use: envoy-gateway, or remove it");
    }
    return;
  }
  if (use == "istio" && s.use("mesh") != "istio")
    report.error(gateway, "use", "needs_component",
                 "the proxies of this gateway are made by the mesh, and there is none",
                 "add mesh: istio, or write gateway: envoy-gateway");
  if (use == "istio" && gateway.has("nodePorts"))
    report.error(gateway, "nodePorts", "not_with", "the mesh chooses the ports of its Services itself",
                 "write use: envoy-gateway, or remove nodePorts");
  if (gateway.text("waf.rules") == "owasp-crs" && use != "envoy-gateway" && use != "ingress-nginx")
    report.error(gateway, "waf", "not_with", fmt::format("{} has no firewall that could load the rules", use),
                 "write use: envoy-gateway, or remove waf");
}

// A Service that asks for an address waits for ever where nothing gives one.
void check_entrance(const Subject& s, Report& report) {
  if (s.cloud() || s.site == "k3s" || s.use("gateway") == "none" || published(s).empty()) return;
  if (s.spec.has("components.gateway.nodePorts")) return;
  report.warning(
      s.spec, "components.gateway", "needs_balancer",
      fmt::format("{} gives the gateway no address by itself: something in the cluster has to", s.site),
      "add MetalLB or kube-vip if there is nothing yet, or write nodePorts and hand requests over "
      "to these ports of the nodes");
}

}  // namespace

void check_exposure(const Subject& s, Report& report) {
  check_hosts(s, report);
  check_certificates(s, report);
  check_api(s, report);
  check_limits(s, report);
  check_entrance(s, report);
  if (s.use("chat") != "none" && s.spec.has("components.chat.host") &&
      s.spec.text("components.chat.admin.email").empty() && s.spec.text("contacts.email").empty())
    report.error(s.spec, "components.chat", "needs_email", "its first user has no name",
                 "add admin: {email: …}, or contacts.email");
  for (const spec::Reader& store : s.spec.entries("components.metrics.remoteWrite")) {
    if (store.text("url").starts_with("http://"))
      report.error(store, "url", "plain_http", "all measurements would go over plain HTTP", "write https://");
  }
}

}  // namespace tg::verify
