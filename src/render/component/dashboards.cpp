// Grafana and its pages: those of all parts and those that are built in.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "render/component/components.hpp"
#include "render/component/dashboard_pages.hpp"
#include "render/component/observability.hpp"

namespace tg::render {

namespace {

const std::string kNs(observability::kMetricsNamespace);
constexpr std::string_view kPages = "/var/lib/grafana/dashboards";

std::string root_url(const spec::Reader& dashboards) {
  const std::string host = dashboards.text("host");
  if (host.empty()) return "http://localhost:3000/";
  std::string path = dashboards.text("path");
  if (!path.ends_with('/')) path += '/';
  return fmt::format("https://{}{}", host, path);
}

bool below(const spec::Reader& dashboards) { return dashboards.text("path") != "/"; }

// Endpoints that the document leaves out are below the issuer.
std::string endpoint(const spec::Reader& oidc, const char* field, std::string_view tail) {
  const std::string own = oidc.text(field);
  return oidc.has(field) && !own.empty() ? own : oidc.text("issuer") + std::string(tail);
}

Json login(const Context& context, Part& part) {
  const spec::Reader oidc = context.spec().sub("access.login.oidc");
  const auto ref = oidc.secret("clientSecret");
  if (!ref) return nullptr;
  auto held = observability::held(*ref, kNs, "grafana-oidc", "client-secret", "Grafana signs in operators");
  part.secrets.push_back(held.need);
  return {{"enabled", true},
          {"name", "Single sign-on"},
          {"client_id", oidc.text("clientId")},
          {"client_secret", fmt::format("$__file{{/etc/secrets/oidc/{}}}", held.key)},
          {"scopes", "openid profile email groups offline_access"},
          {"auth_url", endpoint(oidc, "authorizationUrl", "/authorize")},
          {"token_url", endpoint(oidc, "tokenUrl", "/token")},
          {"api_url", endpoint(oidc, "userinfoUrl", "/userinfo")},
          {"use_pkce", true},
          {"use_refresh_token", true},
          {"allow_sign_up", true},
          // Who is no administrator may look.
          {"role_attribute_path", "contains(groups[*], 'platform-admins') && 'Admin' || 'Viewer'"},
          {"allow_assign_grafana_admin", false}};
}

Json ini(const Context& context, Part& part) {
  const spec::Reader dashboards = context.component("dashboards");
  const std::string host = dashboards.text("host");
  Json out{{"server", {{"root_url", root_url(dashboards)}}}};
  if (!host.empty()) out["server"]["domain"] = host;
  if (below(dashboards)) out["server"]["serve_from_sub_path"] = true;
  out["analytics"] = {
      {"reporting_enabled", false}, {"check_for_updates", false}, {"check_for_plugin_updates", false}};
  out["users"] = {{"allow_sign_up", false}, {"default_theme", "system"}};
  out["auth.anonymous"] = {{"enabled", false}};
  out["security"] = {{"cookie_secure", !host.empty()},
                     {"cookie_samesite", "lax"},
                     {"disable_gravatar", true},
                     {"content_security_policy", true}};
  out["plugins"] = {{"preinstall_disabled", true}};
  out["log"] = {{"mode", "console"}, {"level", "warn"}};
  if (Json oidc = login(context, part); !oidc.is_null()) out["auth.generic_oauth"] = std::move(oidc);
  return out;
}

Json sources(const Context& context) {
  Json list = Json::array();
  list.push_back({{"name", "Prometheus"},
                  {"uid", "prometheus"},
                  {"type", "prometheus"},
                  {"access", "proxy"},
                  {"url", observability::kPrometheusUrl},
                  {"isDefault", true},
                  {"jsonData", {{"httpMethod", "POST"}, {"timeInterval", context.small() ? "60s" : "30s"}}}});
  list.push_back({{"name", "Alertmanager"},
                  {"uid", "alertmanager"},
                  {"type", "alertmanager"},
                  {"access", "proxy"},
                  {"url", observability::kAlertmanagerUrl},
                  {"jsonData", {{"implementation", "prometheus"}, {"handleGrafanaManagedAlerts", true}}}});
  const std::string traces = context.use("traces");
  if (observability::loki(context)) {
    Json data{{"maxLines", 1000}};
    if (traces == "tempo" || traces == "jaeger")
      data["derivedFields"] =
          Json::array({{{"name", "trace"},
                        {"datasourceUid", traces},
                        {"matcherRegex", "(?:trace_?id|traceID)\"?[=:]\\s*\"?([0-9a-f]{16,32})"},
                        {"url", "$${__value.raw}"}}});
    list.push_back({{"name", "Loki"},
                    {"uid", "loki"},
                    {"type", "loki"},
                    {"access", "proxy"},
                    {"url", observability::loki_url(context)},
                    {"jsonData", std::move(data)}});
  }
  if (traces == "tempo" || traces == "jaeger") {
    Json data = Json::object();
    if (observability::loki(context))
      data["tracesToLogsV2"] = {{"datasourceUid", "loki"},
                                {"spanStartTimeShift", "-5m"},
                                {"spanEndTimeShift", "5m"},
                                {"filterByTraceID", true}};
    list.push_back(
        {{"name", traces == "tempo" ? "Tempo" : "Jaeger"},
         {"uid", traces},
         {"type", traces},
         {"access", "proxy"},
         {"url", traces == "tempo" ? "http://tempo.tracing.svc:3200" : "http://jaeger.tracing.svc:16686"},
         {"jsonData", std::move(data)}});
  }
  if (observability::logs_use(context) == "cloudwatch")
    list.push_back({{"name", "CloudWatch"},
                    {"uid", "cloudwatch"},
                    {"type", "cloudwatch"},
                    {"access", "proxy"},
                    {"jsonData",
                     {{"authType", "default"}, {"defaultRegion", context.infrastructure().text("region")}}}});
  return {{"datasources.yaml", {{"apiVersion", 1}, {"prune", true}, {"datasources", std::move(list)}}}};
}

// Alerts that somebody makes in Grafana go where all others go.
Json contact_points() {
  return {{"contactpoints.yaml",
           {{"apiVersion", 1},
            {"contactPoints",
             Json::array({{{"orgId", 1},
                           {"name", "alertmanager"},
                           {"receivers",
                            Json::array({{{"uid", "alertmanager"},
                                          {"type", "prometheus-alertmanager"},
                                          {"settings", {{"url", observability::kAlertmanagerUrl}}}}})}}})}}},
          {"policies.yaml",
           {{"apiVersion", 1},
            {"policies", Json::array({{{"orgId", 1},
                                       {"receiver", "alertmanager"},
                                       {"group_by", Json::array({"grafana_folder", "alertname"})}}})}}}};
}

std::vector<Dashboard> pages(const Context& context, const std::vector<Part>& parts) {
  std::vector<Dashboard> out;
  std::set<std::string> seen;
  const auto take = [&](const Dashboard& d) {
    if (seen.insert(d.uid).second) out.push_back(d);
  };
  for (const Part& p : parts) {
    for (const Dashboard& d : p.dashboards) take(d);
  }
  for (const Dashboard& d : observability::built_in_dashboards(context)) take(d);
  for (Dashboard& d : out) {
    if (d.folder.empty()) d.folder = "Platform";
  }
  return out;
}

// Without a sidecar, each page is mounted; with one, it is found by its label.
void mount_pages(const std::vector<Dashboard>& pages, Json& values) {
  Json mounts = Json::array();
  std::set<std::string> folders;
  for (const Dashboard& d : pages) {
    folders.insert(d.folder);
    mounts.push_back({{"name", "dashboard-" + d.uid},
                      {"configMap", "dashboard-" + d.uid},
                      {"mountPath", fmt::format("{}/{}/{}", kPages, d.folder, d.uid)},
                      {"readOnly", true}});
  }
  Json providers = Json::array();
  for (const std::string& folder : folders)
    providers.push_back({{"name", folder},
                         {"orgId", 1},
                         {"folder", folder},
                         {"type", "file"},
                         {"disableDeletion", true},
                         {"options", {{"path", fmt::format("{}/{}", kPages, folder)}}}});
  values["dashboardProviders"] = {
      {"dashboardproviders.yaml", {{"apiVersion", 1}, {"providers", std::move(providers)}}}};
  values["extraConfigmapMounts"] = std::move(mounts);
}

Json values(const Context& context, const std::vector<Dashboard>& pages, Part& part) {
  const spec::Reader dashboards = context.component("dashboards");
  const std::int64_t replicas = dashboards.integer("replicas");
  Json out{{"fullnameOverride", "grafana"}, {"replicas", replicas}};
  out["admin"] = {
      {"existingSecret", "grafana-admin"}, {"userKey", "admin-user"}, {"passwordKey", "admin-password"}};
  out["grafana.ini"] = ini(context, part);
  if (out["grafana.ini"].contains("auth.generic_oauth"))
    out["extraSecretMounts"] = Json::array({{{"name", "oidc"},
                                             {"secretName", part.secrets.front().name},
                                             {"mountPath", "/etc/secrets/oidc"},
                                             {"defaultMode", 0440},
                                             {"readOnly", true}}});
  out["datasources"] = sources(context);
  out["alerting"] = contact_points();
  if (context.replicas("dashboards", "sidecar") > 0) {
    out["sidecar"] = {{"resources", to_json(context.size("dashboards", "sidecar"))},
                      {"dashboards",
                       {{"enabled", true},
                        {"label", "grafana_dashboard"},
                        {"labelValue", "1"},
                        {"searchNamespace", kNs},
                        {"resource", "configmap"},
                        {"folderAnnotation", "grafana_folder"},
                        {"provider", {{"foldersFromFilesStructure", true}, {"disableDelete", true}}}}}};
    // Rights in this namespace are enough.
    out["rbac"] = {{"namespaced", true}};
  } else {
    mount_pages(pages, out);
    out["rbac"] = {{"create", false}};
    out["serviceAccount"] = {{"automountServiceAccountToken", false}};
    out["automountServiceAccountToken"] = false;
  }
  // Everything is written down here: Grafana keeps nothing of its own that is worth a volume.
  out["persistence"] = {{"enabled", false}};
  out["initChownData"] = {{"enabled", false}};
  out["testFramework"] = {{"enabled", false}};
  out["containerSecurityContext"] = {{"allowPrivilegeEscalation", false},
                                     {"readOnlyRootFilesystem", true},
                                     {"capabilities", {{"drop", Json::array({"ALL"})}}},
                                     {"seccompProfile", {{"type", "RuntimeDefault"}}}};
  out["extraEmptyDirMounts"] = Json::array({{{"name", "tmp"}, {"mountPath", "/tmp"}}});
  out["resources"] = to_json(context.size("dashboards", "grafana"));
  out["serviceMonitor"] = {{"enabled", observability::stack(context)}};
  if (replicas > 1) {
    out["podDisruptionBudget"] = {{"maxUnavailable", 1}};
    out["topologySpreadConstraints"] =
        Json::array({{{"maxSkew", 1},
                      {"topologyKey", "kubernetes.io/hostname"},
                      {"whenUnsatisfiable", "ScheduleAnyway"},
                      {"labelSelector", {{"matchLabels", {{"app.kubernetes.io/name", "grafana"}}}}}}});
  }
  observability::place(out, context.add_on_placement());
  return out;
}

void connect(const Context& context, Part& part) {
  const Peer self = observability::grafana_peer();
  part.edges = {
      {.from = self,
       .to = prometheus_peer(),
       .ports = {{"http", observability::kPrometheusPort}},
       .why = "asks for graphs"},
      {.from = self,
       .to = observability::alertmanager_peer(),
       .ports = {{"http", observability::kAlertmanagerPort}},
       .why = "shows and sends alerts"},
      {.from = prometheus_peer(),
       .to = self,
       .ports = {{"http", observability::kGrafanaPort}},
       .why = "scrapes metrics"},
  };
  if (observability::loki(context))
    part.edges.push_back({.from = self,
                          .to = observability::loki_peer(context),
                          .ports = {{"http", observability::loki_pod_port(context)}},
                          .why = "asks for logs"});
  const std::string traces = context.use("traces");
  if (traces == "tempo" || traces == "jaeger")
    part.edges.push_back({.from = self,
                          .to = observability::traces_peer(context),
                          .ports = {{"http", traces == "tempo" ? 3200 : 16686}},
                          .why = "asks for traces"});
  if (context.replicas("dashboards", "sidecar") > 0)
    part.edges.push_back({.from = self, .to = Peer::api_server(), .ports = {}, .why = "finds the pages"});
  if (context.spec().has("access.login.oidc") || observability::logs_use(context) == "cloudwatch")
    part.edges.push_back(
        {.from = self, .to = Peer::everywhere(), .ports = {{"https", 443}}, .why = "signs in operators"});
}

}  // namespace

std::vector<Part> dashboards(const Context& context, const std::vector<Part>& parts) {
  if (!observability::stack(context) || context.use("dashboards") == "none") return {};
  Part part = component("dashboards");
  part.after = {"metrics"};
  part.namespaces.push_back({.name = kNs});
  const std::vector<Dashboard> all = pages(context, parts);
  Json v = values(context, all, part);
  part.releases.push_back({.chart = "grafana", .release = "grafana", .ns = kNs, .values = std::move(v)});
  for (const Dashboard& d : all) {
    Json o = config_map("dashboard-" + d.uid, kNs,
                        {{d.uid + ".json", observability::dashboard_json(d).dump(1) + "\n"}});
    o["metadata"]["labels"]["grafana_dashboard"] = "1";
    o["metadata"]["annotations"]["grafana_folder"] = d.folder;
    part.add(fmt::format("pages/{}.yaml", d.uid), std::move(o));
  }
  part.secrets.push_back({.name = "grafana-admin",
                          .ns = kNs,
                          .keys = {"admin-user", "admin-password"},
                          .why = "first login of Grafana",
                          .values = {{"admin-user", "admin"}}});
  connect(context, part);
  const spec::Reader dashboards = context.component("dashboards");
  const std::int64_t replicas = dashboards.integer("replicas");
  if (const std::string host = dashboards.text("host"); !host.empty())
    part.published.push_back({.host = host,
                              .path = dashboards.text("path"),
                              .ns = kNs,
                              .service = "grafana",
                              .port = 80,
                              .pods = observability::grafana_peer().labels,
                              .pod_port = observability::kGrafanaPort,
                              .web_socket = true,
                              // Each replica knows its own sessions.
                              .cookie_affinity = replicas > 1});
  part.sections.push_back(
      {.chapter = Section::Chapter::access,
       .title = "Grafana",
       .text =
           fmt::format("{} User and password: `kubectl -n monitoring get secret grafana-admin -o "
                       "go-template='{{{{index .data \"admin-user\" | base64decode}}}} {{{{index .data "
                       "\"admin-password\" | base64decode}}}}'`. Pages are files of this platform: what is "
                       "changed in Grafana does not stay.",
                       dashboards.text("host").empty()
                           ? std::string("`kubectl -n monitoring port-forward service/grafana 3000:80`, then "
                                         "http://localhost:3000/.")
                           : root_url(dashboards) + ".")});
  part.sections.push_back({.chapter = Section::Chapter::weekly,
                           .title = "The pages of Grafana",
                           .text =
                               "Cluster and Nodes: what grows and what is requested but not used. Gateway: "
                               "errors and slow answers. Logs: who writes most. What was looked at and not "
                               "understood becomes an alert or goes."});
  return {std::move(part)};
}

}  // namespace tg::render
