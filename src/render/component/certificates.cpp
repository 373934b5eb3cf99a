// cert-manager and its issuers. Certificates themselves belong to what is published (routes.cpp).
#include <fmt/format.h>

#include "render/component/cert_manager.hpp"
#include "render/component/components.hpp"
#include "render/component/identity.hpp"

namespace tg::render {

namespace {

constexpr const char* kNamespace = "cert-manager";
constexpr int kWebhook = 10250;
constexpr int kSolver = 8089;
constexpr int kMetrics = 9402;

Labels pods(const char* component) {
  return {{"app.kubernetes.io/instance", "cert-manager"}, {"app.kubernetes.io/component", component}};
}

Json workload(const Context& context, const char* name) {
  Json out{{"replicaCount", context.replicas("certificates", name)},
           {"resources", to_json(context.size("certificates", name))}};
  if (context.replicas("certificates", name) > 1)
    out["podDisruptionBudget"] = {{"enabled", true}, {"maxUnavailable", 1}};
  const Placement where = context.add_on_placement();
  if (!where.node_selector.empty()) out["nodeSelector"] = to_json(where.node_selector);
  if (!where.tolerations.empty()) out["tolerations"] = where.tolerations;
  return out;
}

Json values(const Context& context) {
  Json out = workload(context, "controller");
  out["crds"] = {{"enabled", true}, {"keep", true}};
  out["config"] = {{"apiVersion", "controller.config.cert-manager.io/v1alpha1"},
                   {"kind", "ControllerConfiguration"},
                   {"enableGatewayAPI", gateway_api(context)}};
  // Its pod is the identity that changes the zone.
  if (context.site() == Site::azure) out["podLabels"] = {{"azure.workload.identity/use", "true"}};
  out["webhook"] = workload(context, "webhook");
  out["cainjector"] = workload(context, "cainjector");
  if (context.has("metrics")) out["prometheus"] = {{"servicemonitor", {{"enabled", true}}}};
  return out;
}

// How the zone of a name is changed: by the identity of cert-manager's pod, never by a key.
Json dns_provider(const Context& context) {
  const spec::Reader site = context.infrastructure();
  switch (context.site()) {
    case Site::aws:
      return {{"route53", {{"region", site.text("region")}}}};
    case Site::google:
      return {{"cloudDNS", {{"project", site.text("project")}}}};
    case Site::azure: {
      std::string group = site.text("resourceGroup"), zone = site.text("dns.zone");
      if (group.empty()) group = context.name();
      if (zone.empty()) zone = context.spec().text("domain");
      return {{"azureDNS",
               {{"subscriptionID", site.text("subscription")},
                {"resourceGroupName", group},
                {"hostedZoneName", zone},
                {"environment", "AzurePublicCloud"},
                {"managedIdentity", {{"clientID", "output:cert_manager_client_id"}}}}}};
    }
    default:
      return nullptr;
  }
}

Json solvers(const Context& context) {
  Json out = Json::array();
  for (const std::string& how : context.component("certificates").list("challenges")) {
    if (how == "dns01") {
      Json provider = dns_provider(context);
      if (provider.is_null()) {
        context.refuse("no_dns_provider", context.spec().at("components.certificates.challenges"),
                       "spec.components.certificates.challenges",
                       "dns01 needs a zone that this infrastructure does not have",
                       "use http01, or a cloud with dns.zone");
        continue;
      }
      Json solver = Json::object();
      // With both challenges, wildcards take this one: http01 cannot prove them.
      if (const std::string domain = context.spec().text("domain"); !domain.empty())
        solver["selector"] = {{"dnsZones", Json::array({domain})}};
      solver["dns01"] = std::move(provider);
      out.push_back(std::move(solver));
    } else {
      if (context.use("gateway") == "ingress-nginx") {
        out.push_back({{"http01", {{"ingress", {{"ingressClassName", "nginx"}}}}}});
        continue;
      }
      Json gateway{{"group", "gateway.networking.k8s.io"},
                   {"kind", "Gateway"},
                   {"name", kGatewayName},
                   {"namespace", kGatewayNamespace}};
      out.push_back(
          {{"http01", {{"gatewayHTTPRoute", {{"parentRefs", Json::array({std::move(gateway)})}}}}}});
    }
  }
  return out;
}

Json acme_issuer(const Context& context, const std::string& name, const std::string& server) {
  Json out = object("cert-manager.io/v1", "ClusterIssuer", name);
  std::string email = context.component("certificates").text("email");
  if (email.empty()) email = context.spec().text("contacts.email");
  out["spec"] = {{"acme",
                  {{"email", email},
                   {"server", server},
                   {"privateKeySecretRef", {{"name", name + "-account"}}},
                   {"solvers", solvers(context)}}}};
  return out;
}

// Signs itself, then everything else: browsers warn, for development only.
void add_self_signed(Part& part, const Context& context) {
  Json root = object("cert-manager.io/v1", "ClusterIssuer", "self-signed");
  root["spec"] = {{"selfSigned", Json::object()}};
  part.add("issuers.yaml", std::move(root));
  Json authority = object("cert-manager.io/v1", "Certificate", "development-ca", kNamespace);
  authority["spec"] = {{"isCA", true},
                       {"commonName", context.name() + " development"},
                       {"secretName", "development-ca"},
                       {"duration", "8760h"},
                       {"renewBefore", "720h"},
                       {"privateKey", {{"algorithm", "ECDSA"}, {"size", 256}, {"rotationPolicy", "Always"}}},
                       {"issuerRef", {{"name", "self-signed"}, {"kind", "ClusterIssuer"}}}};
  part.add("issuers.yaml", std::move(authority));
  Json issuer = object("cert-manager.io/v1", "ClusterIssuer", "development");
  issuer["spec"] = {{"ca", {{"secretName", "development-ca"}}}};
  part.add("issuers.yaml", std::move(issuer));
}

void add_authority(Part& part, const Context& context) {
  const auto secret = context.component("certificates").secret("issuer.ca");
  if (!secret) return;
  const std::string name = secret->name.empty() ? "platform-ca" : secret->name;
  part.secrets.push_back({.name = name,
                          .ns = kNamespace,
                          .keys = {"tls.crt", "tls.key"},
                          .from = SecretNeed::From::reference,
                          .reference = "secretRef " + name,
                          .why = "signs the certificates of the platform"});
  Json issuer = object("cert-manager.io/v1", "ClusterIssuer", "own-ca");
  issuer["spec"] = {{"ca", {{"secretName", name}}}};
  part.add("issuers.yaml", std::move(issuer));
}

Json authority(const std::string& name, const std::string& common_name, const std::string& issuer) {
  Json out = object("cert-manager.io/v1", "Certificate", name, kNamespace);
  Json& spec = out["spec"];
  spec["isCA"] = true;
  spec["commonName"] = common_name;
  spec["secretName"] = name;
  spec["duration"] = "43800h";
  spec["renewBefore"] = "4380h";
  spec["privateKey"] = {{"algorithm", "ECDSA"}, {"size", 256}, {"rotationPolicy", "Always"}};
  spec["issuerRef"] = {{"name", issuer}, {"kind", "ClusterIssuer"}};
  return out;
}

// An authority of the cluster's own, for programs that nobody outside speaks to; OpenBao's certificate by it.
void add_vault(Part& part, const Context& context) {
  Json root = object("cert-manager.io/v1", "ClusterIssuer", "inside-root");
  root["spec"]["selfSigned"] = Json::object();
  part.add("inside.yaml", std::move(root));
  part.add("inside.yaml", authority("inside-ca", context.name() + " inside", "inside-root"));
  Json issuer = object("cert-manager.io/v1", "ClusterIssuer", "inside");
  issuer["spec"]["ca"]["secretName"] = "inside-ca";
  part.add("inside.yaml", std::move(issuer));
  Json own = object("cert-manager.io/v1", "Certificate", "openbao", "secrets");
  Json& spec = own["spec"];
  spec["secretName"] = "openbao-tls";
  spec["duration"] = "2160h";
  spec["renewBefore"] = "720h";
  spec["privateKey"] = {{"algorithm", "ECDSA"}, {"size", 256}, {"rotationPolicy", "Always"}};
  spec["dnsNames"] = Json::array();
  for (const char* name : {"localhost", "openbao.secrets.svc", "openbao-active.secrets.svc",
                           "*.openbao-internal", "*.openbao-internal.secrets.svc"})
    spec["dnsNames"].push_back(name);
  spec["ipAddresses"] = Json::array({"127.0.0.1"});
  spec["issuerRef"] = {{"name", "inside"}, {"kind", "ClusterIssuer"}};
  part.add("inside.yaml", std::move(own));
}

void add_edges(Part& part, const Context& context) {
  // The last one looks after the installation whether the webhook answers.
  for (const char* component : {"controller", "webhook", "cainjector", "startupapicheck"}) {
    part.edges.push_back({.from = Peer::pods(kNamespace, pods(component)),
                          .to = Peer::api_server(),
                          .why = "reads and writes certificates"});
  }
  part.edges.push_back({.from = Peer::api_server(),
                        .to = Peer::pods(kNamespace, pods("webhook")),
                        .ports = {{"https", kWebhook}},
                        .why = "asks the webhook about new certificates"});
  part.edges.push_back({.from = Peer::pods(kNamespace, pods("controller")),
                        .to = Peer::everywhere(),
                        .ports = {{"https", 443}, {"http", 80}, {"dns", 53, "UDP"}, {"dns-tcp", 53}},
                        .why = "asks the certificate authority and tries its challenges first"});
  if (context.has("gateway"))
    part.edges.push_back(
        {.from = gateway_peer(context),
         .to = Peer::pods(kGatewayNamespace, {{"acme.cert-manager.io/http01-solver", "true"}}),
         .ports = {{"http", kSolver}},
         .why = "answers the challenges of the certificate authority"});
  add_identity_edge(part, context, Peer::pods(kNamespace, pods("controller")));
  if (context.has("metrics")) {
    part.edges.push_back({.from = prometheus_peer(),
                          .to = Peer::pods(kNamespace, pods("controller")),
                          .ports = {{"metrics", kMetrics}},
                          .why = "scrapes metrics"});
  }
}

void add_alerts(Part& part) {
  part.alerts.push_back(
      {.name = "CertificateExpiresSoon",
       .expr = "certmanager_certificate_expiration_timestamp_seconds - time() < 7 * 86400",
       .duration = "15m",
       .severity = "critical",
       .summary = "Certificate {{ $labels.namespace }}/{{ $labels.name }} expires in less than 7 days",
       .description = "It was due for renewal long before; the renewal fails.",
       .action = "Look at `kubectl describe certificate -n NAMESPACE NAME`, then at its newest order and "
                 "challenge.",
       .input = {{"certmanager_certificate_expiration_timestamp_seconds{namespace=\"gateway-system\",name="
                  "\"www\"}",
                  "500000x60"}},
       .quiet = "10m",
       .fires = "30m",
       .expected = {{"namespace", "gateway-system"}, {"name", "www"}}});
}

}  // namespace

std::string certificate_issuer(const Context& context) {
  const std::string_view issuer = context.component("certificates").chosen("issuer");
  if (issuer == "selfSigned") return "development";
  if (issuer == "ca") return "own-ca";
  return "letsencrypt-production";
}

bool own_vault(const Context& context) {
  return context.use("secrets") == "external-secrets" &&
         context.component("secrets").text("from.vault.install") == "openbao";
}

bool cert_manager(const Context& context) {
  return context.use("certificates") == "cert-manager" && (context.has("gateway") || own_vault(context));
}

std::vector<Part> certificates(const Context& context) {
  if (!cert_manager(context)) return {};
  Part part = component("certificates");
  // It asks once, when it starts, and ends if what it asks for is not there.
  part.after = {"namespaces", "network-policies", gateway_first(context) ? "gateway" : "gateway-crds"};
  part.namespaces.push_back({.name = kNamespace});
  part.releases.push_back(
      {.chart = "cert-manager", .release = "cert-manager", .ns = kNamespace, .values = values(context)});
  if (own_vault(context)) add_vault(part, context);
  const std::string issuer = certificate_issuer(context);
  if (!context.has("gateway")) {
    // Nothing is published: programs inside ask, nobody else.
  } else if (issuer == "development") {
    add_self_signed(part, context);
  } else if (issuer == "own-ca") {
    add_authority(part, context);
  } else {
    part.add("issuers.yaml", acme_issuer(context, "letsencrypt-staging",
                                         "https://acme-staging-v02.api.letsencrypt.org/directory"));
    part.add("issuers.yaml", acme_issuer(context, issuer, "https://acme-v02.api.letsencrypt.org/directory"));
  }
  add_edges(part, context);
  if (context.has("metrics")) add_alerts(part);
  part.sections.push_back({Section::Chapter::troubleshooting, "A certificate is not ready",
                           "kubectl get certificates -A\n"
                           "kubectl describe certificate -n gateway-system NAME\n"
                           "kubectl get orders,challenges -A\n"
                           "kubectl logs -n cert-manager deployment/cert-manager --tail=100\n"});
  return {std::move(part)};
}

}  // namespace tg::render
