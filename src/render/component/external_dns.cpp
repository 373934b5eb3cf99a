// external-dns: writes the hosts of HTTPRoutes into the zone that the document names, and takes away only
// what it wrote itself.
#include "render/component/external_dns.hpp"

#include <fmt/format.h>

#include "render/component/components.hpp"

namespace tg::render {

namespace {

constexpr const char* kNamespace = "external-dns";
constexpr const char* kFile = "/etc/external-dns/credentials";

// How the program of a provider is told where its credentials lie.
void tell_credentials(Json& values, const std::string& provider) {
  if (provider == "azure") {
    values["extraArgs"] = Json::array({fmt::format("--azure-config-file={}", kFile)});
    return;
  }
  const bool cloudflare = provider == "cloudflare";
  const char* variable = provider == "aws" ? "AWS_SHARED_CREDENTIALS_FILE"
                         : cloudflare      ? "CF_API_TOKEN"
                                           : "GOOGLE_APPLICATION_CREDENTIALS";
  values["env"] =
      Json::array({env(variable, cloudflare ? fmt::format("file:{}", kFile) : std::string(kFile))});
}

Json values(const Context& context, const std::string& provider, bool credentials) {
  const spec::Reader dns = context.infrastructure().sub("dns");
  std::string zone = dns.text("zone");
  if (zone.empty()) zone = context.spec().text("domain");
  Json out{{"provider", {{"name", provider}}},
           {"sources", Json::array({"gateway-httproute"})},
           {"domainFilters", Json::array({zone})},
           {"policy", "sync"},
           {"registry", "txt"},
           {"txtOwnerId", context.name()},
           {"resources", to_json(context.size("names", "external-dns"))}};
  if (credentials) {
    tell_credentials(out, provider);
    out["extraVolumes"] = Json::array({volume_secret("credentials", "external-dns")});
    const Json mount{{"name", "credentials"}, {"mountPath", "/etc/external-dns"}, {"readOnly", true}};
    out["extraVolumeMounts"] = Json::array({mount});
  }
  if (context.use("metrics") == "prometheus") out["serviceMonitor"] = {{"enabled", true}};
  const Placement where = context.add_on_placement();
  if (!where.node_selector.empty()) out["nodeSelector"] = to_json(where.node_selector);
  if (!where.tolerations.empty()) out["tolerations"] = where.tolerations;
  return out;
}

}  // namespace

std::vector<Part> external_dns(const Context& context) {
  if (context.site() != Site::existing || !context.infrastructure().has("dns")) return {};
  const spec::Reader site = context.infrastructure();
  if (!context.has("gateway")) {
    context.refuse("cannot_render", site.at("dns"), site.where("dns"),
                   "names are written of what the gateway publishes, and there is no gateway",
                   "take dns out, or components.gateway: none");
    return {};
  }
  Part part = component("names");
  part.after = {"namespaces", "network-policies", "gateway"};
  part.namespaces.push_back({.name = kNamespace});
  const std::string provider = site.text("dns.provider");
  const auto secret = site.secret("dns.credentials");
  part.releases.push_back({.chart = "external-dns",
                           .release = "external-dns",
                           .ns = kNamespace,
                           .values = values(context, provider, secret.has_value())});
  if (secret) {
    part.secrets.push_back({.name = "external-dns",
                            .ns = kNamespace,
                            .keys = {"credentials"},
                            .from = SecretNeed::From::reference,
                            .reference = describe(*secret),
                            .why = "writes names into the zone"});
  }
  const Peer self = Peer::pods(kNamespace, {{"app.kubernetes.io/name", "external-dns"}});
  part.edges.push_back({.from = self, .to = Peer::api_server(), .why = "watches routes and gateways"});
  part.edges.push_back({.from = self,
                        .to = Peer::everywhere(),
                        .ports = {{"https", 443}},
                        .why = fmt::format("writes names at {}", provider)});
  if (context.use("metrics") == "prometheus") {
    part.edges.push_back(
        {.from = prometheus_peer(), .to = self, .ports = {{"http", 7979}}, .why = "scrapes metrics"});
  }
  part.sections.push_back({Section::Chapter::troubleshooting, "A name is not there",
                           "kubectl -n external-dns logs deployment/external-dns --tail=50\n"
                           "kubectl get httproutes -A\n"
                           "kubectl -n gateway-system get gateway\n"});
  return {std::move(part)};
}

}  // namespace tg::render
