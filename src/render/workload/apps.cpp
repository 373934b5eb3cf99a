// Programs of one's own: `apps`.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "render/component/components.hpp"
#include "render/component/ingress.hpp"
#include "render/workload/app.hpp"

namespace tg::render {

namespace {

// "time-scale" → "TIME_SCALE": what an app finds a service under in its environment.
std::string variable(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return c == '-' || c == '.' ? '_' : (c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
  });
  return name;
}

App read(const Context& context, const std::map<std::string, TenantHome>& homes, const std::string& name,
         const spec::Reader& spec) {
  App app{.name = name, .ns = apps_namespace(context), .spec = spec};
  if (const std::string tenant = spec.text("tenant"); !tenant.empty()) {
    if (const auto home = homes.find(tenant); home != homes.end()) {
      app.ns = home->second.ns;
      app.priority_class = home->second.priority_class;
    } else {
      app.homeless = true;
    }
  }
  app.port = spec.has("port") ? static_cast<int>(spec.integer("port")) : 0;
  app.hosts = spec.list("hosts");
  app.min = static_cast<int>(spec.integer("replicas.min"));
  app.max = std::max(app.min, static_cast<int>(spec.integer("replicas.max")));
  return app;
}

Resources sizes(const spec::Reader& spec) {
  Resources out{spec.quantities("resources.requests"), spec.quantities("resources.limits")};
  // Devices are whole: what is requested is the limit too.
  for (const auto& [resource, amount] : out.requests) {
    if (resource.find('/') != std::string::npos) out.limits.emplace(resource, amount);
  }
  return out;
}

bool shared(const Context& context, const std::string& storage_class) {
  for (const auto& [name, c] : context.spec().named("storage.classes")) {
    if (name == storage_class) return c.text("kind") == "shared";
  }
  return false;
}

// Volumes as claims of the app's own. A volume that one node holds at a time cannot have replicas on two.
bool add_volumes(const Context& context, Part& part, const App& app, Container& container, Pod& pod) {
  bool one_node = false;
  for (const auto& [name, volume] : app.spec.named("volumes")) {
    std::string storage_class = volume.text("class");
    if (storage_class.empty()) storage_class = context.default_storage_class();
    const bool many = shared(context, storage_class);
    if (!many && app.max > 1) {
      context.refuse("volume_not_shared", volume.at("class"), volume.where("class"),
                     fmt::format("{}: {} replicas cannot share volume {} of class {}", app.name, app.max,
                                 name, storage_class.empty() ? "the default" : storage_class),
                     "use a class of kind: shared, or replicas: {min: 1, max: 1}");
    }
    one_node = one_node || !many;
    const std::string claim_name = fmt::format("{}-{}", app.name, name);
    part.add("volumes.yaml", persistent_volume_claim(claim_name, app.ns, volume.text("size"), storage_class,
                                                     many ? "ReadWriteMany" : "ReadWriteOnce"));
    part.keeps.push_back({.ns = app.ns, .name = claim_name});
    pod.volumes.push_back(volume_claim(name, claim_name));
    container.mounts.push_back({name, volume.text("mount")});
  }
  return one_node;
}

// The app of this name; nullptr if there is none. `apps` are in the order of their names.
const App* find_app(const std::vector<App>& apps, const std::string& wanted) {
  const auto it = std::lower_bound(apps.begin(), apps.end(), wanted,
                                   [](const App& a, const std::string& name) { return a.name < name; });
  return it != apps.end() && it->name == wanted ? &*it : nullptr;
}

// Whom it calls: an edge, and in its environment where that is.
void add_uses(const Context& context, const std::vector<App>& apps, Part& part, const App& app,
              Container& container) {
  for (const std::string& used : app.spec.list("uses")) {
    const std::string prefix = variable(used);
    if (const auto api = data_api(context, used)) {
      part.after.push_back(used);
      part.edges.push_back({.from = app.peer(),
                            .to = api->peer,
                            .ports = {{api->use, api->port}},
                            .why = fmt::format("{} uses {}", app.name, used)});
      if (api->secret.empty()) {
        container.env.push_back(
            env(prefix + "_BOOTSTRAP_SERVERS", fmt::format("{}:{}", api->host, api->port)));
      } else {
        container.env.push_back(env_from_secret(prefix + "_URL", api->secret, "url"));
        part.secrets.push_back(copy_of_data_secret(*api, app.ns, fmt::format("{} uses {}", app.name, used)));
      }
    } else if (const App* other = find_app(apps, used); other != nullptr && other->port != 0) {
      part.edges.push_back({.from = app.peer(),
                            .to = other->peer(),
                            .ports = {{"http", other->port}},
                            .why = fmt::format("{} calls {}", app.name, used)});
      container.env.push_back(
          env(prefix + "_URL", fmt::format("http://{}.{}.svc:{}", used, other->ns, other->port)));
    } else {
      context.refuse(
          "unknown_reference", app.spec.at("uses"), app.spec.where("uses"),
          fmt::format("{}: there is no data service and no app with a port named {}", app.name, used),
          "name one of data, or of apps with a port");
    }
  }
}

// Replicas keep apart from all pods with the labels that the user gave them.
Json keep_apart(const Labels& labels) {
  if (labels.empty()) return {};
  Json expressions = Json::array();
  for (const auto& [key, value] : labels)
    expressions.push_back({{"key", key}, {"operator", "In"}, {"values", Json::array({value})}});
  return {{"podAntiAffinity",
           {{"preferredDuringSchedulingIgnoredDuringExecution",
             Json::array({{{"weight", 100},
                           {"podAffinityTerm",
                            {{"topologyKey", "kubernetes.io/hostname"},
                             {"labelSelector", {{"matchExpressions", std::move(expressions)}}}}}}})}}}};
}

// A Deployment of version `version`; all versions bear the app's name, each its own instance.
Json versioned(const App& app, const std::string& name, int replicas, Pod pod, const std::string& version) {
  pod.labels.insert_or_assign("version", version);
  Json out = deployment(name, app.ns, replicas, pod);
  Json& spec = out["spec"];
  spec["selector"]["matchLabels"]["app.kubernetes.io/name"] = app.name;
  spec["template"]["metadata"]["labels"]["app.kubernetes.io/name"] = app.name;
  if (spec["template"]["spec"].contains("topologySpreadConstraints")) {
    for (Json& c : spec["template"]["spec"]["topologySpreadConstraints"])
      c["labelSelector"]["matchLabels"]["app.kubernetes.io/name"] = app.name;
  }
  return out;
}

// The next version beside the present one. A mesh sends it its share by the label `version`; without one the
// Service of both does, so the number of replicas follows the share.
void add_canary(Part& part, const App& app, Pod pod) {
  const double share = app.spec.number("canary.weight");
  const int replicas = std::max(1, static_cast<int>(std::lround(share * app.min)));
  pod.containers.front().image = app.spec.text("canary.image");
  part.add("deployment.yaml", versioned(app, app.name + "-canary", replicas, std::move(pod), "canary"));
  part.sections.push_back(
      {Section::Chapter::upgrade, fmt::format("New version of {}", app.name),
       fmt::format(
           "{0} gets {1:.0f}% of the requests with the next image. When its errors and its latency stay "
           "like those of the present one, write its image into apps.{0}.image and take canary out; "
           "else take canary out alone. Both are one change of the document.\n",
           app.name, share * 100)});
}

// Requests to one path or to all of an app; the gateway counts those of each client.
std::string rate_limit(const Context& context, const App& app, const spec::Reader& at) {
  if (at.has("rateLimit") && at.text("rateLimit.per") == "gateway") {
    context.refuse("limit_not_here", at.at("rateLimit"), at.where("rateLimit.per"),
                   fmt::format("{}: an app's limit counts each client by itself", app.name),
                   "take per out; components.gateway.rateLimit can count all together");
  }
  return at.text("rateLimit.rate");
}

void add_published(const Context& context, Part& part, const App& app) {
  if (app.port == 0 || app.hosts.empty()) return;
  Published base{.ns = app.ns, .service = app.name, .port = app.port, .pods = app.pods()};
  base.web_socket = app.spec.flag("webSocket");
  base.cookie_affinity = app.spec.text("affinity") == "cookie";
  base.rate_limit = rate_limit(context, app, app.spec);
  for (const std::string& host : app.hosts) {
    Published all = base;
    all.host = host;
    part.published.push_back(all);
    for (const auto& [path, rules] : app.spec.named("paths")) {
      Published one = all;
      one.path = path;
      one.rate_limit = rate_limit(context, app, rules);
      part.published.push_back(std::move(one));
    }
  }
}

Dashboard dashboard(const Context& context, const App& app) {
  Dashboard out{.uid = "app-" + app.name, .title = app.name, .folder = "Apps"};
  if (const RequestMetrics m = request_metrics(context, app)) {
    out.panels.push_back({.title = "Requests", .queries = {{m.rate, "requests"}}, .unit = "reqps"});
    out.panels.push_back({.title = "Errors", .queries = {{m.errors, "5xx"}}, .unit = "percentunit"});
    out.panels.push_back({.title = "Latency, 95th percentile", .queries = {{m.latency, "p95"}}, .unit = "s"});
  }
  const std::string pods = fmt::format("namespace=\"{}\",pod=~\"{}-.*\"", app.ns, app.name);
  out.panels.push_back(
      {.title = "Replicas",
       .queries =
           {{fmt::format(
                 "kube_deployment_status_replicas_available{{namespace=\"{}\",deployment=~\"{}(-canary)?\"}}",
                 app.ns, app.name),
             "{{deployment}}"}},
       .unit = "short"});
  const std::string container = fmt::format("{},container=\"{}\"", pods, app.name);
  out.panels.push_back(
      {.title = "Processor",
       .queries = {{fmt::format("sum by (pod) (rate(container_cpu_usage_seconds_total{{{}}}[5m]))",
                                container),
                    "{{pod}}"}},
       .unit = "cores"});
  out.panels.push_back(
      {.title = "Memory",
       .queries =
           {{fmt::format("sum by (pod) (container_memory_working_set_bytes{{{}}})", container), "{{pod}}"},
            {fmt::format("min(kube_pod_container_resource_limits{{{},resource=\"memory\"}})", container),
             "limit"}},
       .unit = "bytes"});
  out.panels.push_back(
      {.title = "Restarts",
       .queries = {{fmt::format("sum by (pod) (increase(kube_pod_container_status_restarts_total{{{}}}[1h]))",
                                container),
                    "{{pod}}"}},
       .unit = "short"});
  for (const std::string& used : app.spec.list("uses")) {
    const auto api = data_api(context, used);
    if (!api || (api->use != "postgresql" && api->use != "timescaledb") || context.small()) continue;
    out.panels.push_back(
        {.title = fmt::format("Connections of {}", used),
         .queries = {{fmt::format(
                          "sum by (state) (cnpg_backends_total{{namespace=\"data\",pod=~\"{}-[0-9]+\"}})",
                          used),
                      "{{state}}"},
                     {fmt::format("max(cnpg_pg_settings_setting{{namespace=\"data\",pod=~\"{}-[0-9]+\",name="
                                  "\"max_connections\"}})",
                                  used),
                      "bound"}},
         .unit = "short"});
  }
  return out;
}

// A sidecar takes only what is encrypted, so it hands the program's measurements on beside its own.
void add_sidecar_monitor(Part& part, const App& app) {
  Json o = object("monitoring.coreos.com/v1", "PodMonitor", app.name, app.ns);
  o["spec"] = {
      {"selector", {{"matchLabels", to_json(app.pods())}}},
      {"podMetricsEndpoints",
       Json::array({{{"portNumber", kSidecarMetrics}, {"path", "/stats/prometheus"}, {"interval", "30s"}}})}};
  part.add("monitor.yaml", std::move(o));
  part.edges.push_back({.from = prometheus_peer(),
                        .to = app.peer(),
                        .ports = {{"metrics", kSidecarMetrics}},
                        .why = "scrapes metrics"});
}

void add_monitor(Part& part, const App& app) {
  Json o = object("monitoring.coreos.com/v1", "ServiceMonitor", app.name, app.ns);
  o["spec"] = {{"selector", {{"matchLabels", {{"tidegate.dev/app", app.name}}}}},
               {"endpoints", Json::array({{{"port", "http"}, {"path", "/metrics"}, {"interval", "30s"}}})}};
  part.add("monitor.yaml", std::move(o));
  part.edges.push_back(
      {.from = prometheus_peer(), .to = app.peer(), .ports = {{"http", app.port}}, .why = "scrapes metrics"});
}

Part app_part(const Context& context, const std::vector<App>& apps, const App& app) {
  Part part;
  part.where = Where::workload;
  part.name = app.name;
  part.after = {"namespaces", "network-policies", "storage", "scaling", "mesh"};
  part.namespaces.push_back({.name = app.ns});
  if (const std::string tenant = app.spec.text("tenant"); app.homeless) {
    context.refuse("unknown_reference", app.spec.at("tenant"), app.spec.where("tenant"),
                   fmt::format("{}: there is no Tenant {} with a namespace", app.name, tenant),
                   "add a Tenant of this name without isolation: none");
  }
  Container container{.name = app.name, .image = app.spec.text("image")};
  container.resources = sizes(app.spec);
  container.mounts = {{"tmp", "/tmp"}};
  Pod pod;
  pod.volumes = {volume_scratch("tmp", "256Mi")};
  if (app.port != 0) {
    container.ports = {{"http", app.port}};
    container.startup = tcp_probe("http", 5, 30);
    container.readiness = tcp_probe("http", 5);
    container.liveness = tcp_probe("http", 20, 6);
  }
  const bool one_node = add_volumes(context, part, app, container, pod);
  add_uses(context, apps, part, app, container);
  pod.containers = {std::move(container)};
  pod.service_account = app.name;
  pod.priority_class = app.priority_class;
  pod.labels = app.spec.texts_map("labels");
  if (const std::string pool = app.spec.text("pool"); !pool.empty())
    pod.placement = context.pool_placement(pool);

  const bool meshed = sidecars_in(context, app.ns);
  if (meshed && app.port != 0 && context.use("metrics") == "prometheus") {
    pod.annotations = {{"prometheus.io/scrape", "true"},
                       {"prometheus.io/port", std::to_string(app.port)},
                       {"prometheus.io/path", "/metrics"}};
  }
  Scaling scaling = scale(context, app);
  part.add("deployment.yaml", service_account(app.name, app.ns));
  const int replicas = scaling.replicas_fixed ? app.min : -1;
  const bool canary = app.spec.has("canary");
  Json main = canary ? versioned(app, app.name, replicas, pod, "stable")
                     : deployment(app.name, app.ns, replicas, pod);
  if (Json apart = keep_apart(pod.labels); !apart.is_null())
    main["spec"]["template"]["spec"]["affinity"] = std::move(apart);
  if (one_node) main["spec"]["strategy"] = {{"type", "Recreate"}};
  part.add("deployment.yaml", std::move(main));
  if (app.port != 0) {
    Json all = service(app.name, app.ns, app.pods(), {{"http", app.port}});
    all["metadata"]["labels"] = {{"tidegate.dev/app", app.name}};
    part.add("service.yaml", std::move(all));
  }
  if (canary) add_canary(part, app, pod);
  if (app.max > 1) part.add("deployment.yaml", disruption_budget(app.name, app.ns, selector(app.name)));
  for (Json& o : scaling.objects) part.add("scaling.yaml", std::move(o));
  for (Edge& e : scaling.edges) part.edges.push_back(std::move(e));
  for (SecretNeed& s : scaling.secrets) part.secrets.push_back(std::move(s));
  add_published(context, part, app);
  if (context.use("metrics") == "prometheus") {
    if (app.port != 0) meshed ? add_sidecar_monitor(part, app) : add_monitor(part, app);
    part.dashboards.push_back(dashboard(context, app));
  }
  part.sections.push_back({Section::Chapter::troubleshooting, app.name,
                           fmt::format("kubectl -n {0} get deploy,pods,hpa -l app.kubernetes.io/name={1}\n"
                                       "kubectl -n {0} logs -l app.kubernetes.io/name={1} --tail=100\n"
                                       "kubectl -n {0} logs deploy/{1} --previous\n"
                                       "kubectl -n {0} rollout undo deploy/{1}\n",
                                       app.ns, app.name)});
  return part;
}

}  // namespace

std::string apps_namespace(const Context& context) { return context.name(); }

std::vector<App> all_apps(const Context& context) {
  const auto homes = tenant_homes(context);
  std::vector<App> out;
  for (const auto& [name, spec] : context.spec().named("apps"))
    out.push_back(read(context, homes, name, spec));
  return out;
}

std::vector<Part> apps(const Context& context) {
  std::vector<Part> out;
  std::set<std::pair<std::string, std::string>> told;  // one Secret serves all apps of a namespace
  const std::vector<App> all = all_apps(context);
  for (const App& app : all) {
    if (data_api(context, app.name)) {
      context.refuse("name_twice", app.spec.at(), app.spec.where(""),
                     fmt::format("{} is the name of an app and of a data service", app.name),
                     "give one of them another name");
      continue;
    }
    Part part = app_part(context, all, app);
    std::erase_if(part.secrets, [&](const SecretNeed& s) { return !told.emplace(s.ns, s.name).second; });
    out.push_back(std::move(part));
  }
  return out;
}

}  // namespace tg::render
