// Numbers of replicas and nodes, and what they follow.
#include <fmt/format.h>

#include <algorithm>

#include "verify/facts.hpp"

namespace tg::verify {

namespace {

void check_vertical(const std::string& name, const spec::Reader& app, Report& report) {
  const std::string mode = app.text("vertical.mode");
  const bool cpu = app.has("scale.cpu") || !app.has("scale"), memory = app.has("scale.memory");
  if (app.has("vertical") && (mode == "inPlace" || mode == "recreate") && (cpu || memory))
    report.error(
        app, "vertical.mode", "autoscalers_fight",
        fmt::format("{}: the number of replicas follows {}, and vertical: {} changes the requests that it is "
                    "measured by",
                    name, cpu ? memory ? "cpu and memory" : "cpu" : "memory", mode),
        "write vertical: recommend, or scale by requestsPerSecond, kafka or redis");
  const Amounts low = amounts(app.quantities("vertical.min")), high = amounts(app.quantities("vertical.max"));
  for (const char* resource : {"cpu", "memory"}) {
    if (low.of(resource) > 0 && high.of(resource) > 0 && low.of(resource) > high.of(resource))
      report.error(app, fmt::format("vertical.min.{}", resource), "out_of_range",
                   fmt::format("{} is above vertical.max, which is {}", shown(resource, low.of(resource)),
                               shown(resource, high.of(resource))),
                   "lower it, or raise vertical.max");
  }
}

void check_events(const Subject& s, const std::string& name, const spec::Reader& app, Report& report) {
  const std::int64_t most = app.integer("replicas.max");
  const Named data = s.spec.named("data");
  for (const auto& [service, d] : data) {
    if (app.text("scale.kafka.service") != service || d.text("use") != "kafka") continue;
    for (const auto& [topic, t] : d.named("topics")) {
      if (topic != app.text("scale.kafka.topic") || most <= t.integer("partitions")) continue;
      report.error(
          app, "replicas.max", "more_than_partitions",
          fmt::format("{} replicas read {}, which has {} partitions: the others would stand idle", most,
                      topic, t.integer("partitions")),
          fmt::format("allow {} replicas, or give the topic {} partitions", t.integer("partitions"), most));
    }
  }
  for (const spec::Reader& hours : app.entries("scale.cron")) {
    if (hours.integer("replicas") > most)
      report.error(hours, "replicas", "above_bound",
                   fmt::format("{} are wanted then, and replicas.max is {}", hours.integer("replicas"), most),
                   fmt::format("set it to {} or less, or raise replicas.max", most));
    if (hours.text("from") == hours.text("to"))
      report.error(hours, "to", "empty_window", "the hours end when they begin", "correct from or to");
  }
  if (app.has("scale.requestsPerSecond")) {
    if (s.use("metrics") != "prometheus")
      report.error(app, "scale.requestsPerSecond", "needs_component",
                   fmt::format("{} scales by requests, and there is no Prometheus that counts them", name),
                   "write components.metrics: prometheus");
    if (!app.has("port"))
      report.error(app, "scale.requestsPerSecond", "needs_port",
                   fmt::format("{} scales by requests and listens on no port", name), "add port: NUMBER");
  }
}

void check_bounds(const std::string& name, const spec::Reader& app, Report& report) {
  const bool events = app.has("scale.kafka") || app.has("scale.redis") || app.has("scale.cron");
  if (app.has("replicas") && app.integer("replicas.min") == 0 && !events && app.integer("replicas.max") > 0)
    report.error(
        app, "replicas.min", "cannot_scale_to_zero",
        fmt::format("{} follows a measure of its own replicas: without one nothing would start it", name),
        "write min: 1, or scale by kafka, redis or cron");
  if (app.has("scale") && app.has("replicas") && app.integer("replicas.min") == app.integer("replicas.max"))
    report.error(app, "scale", "never_scales",
                 fmt::format("replicas.min and max of {} are both {}", name, app.integer("replicas.max")),
                 "raise replicas.max, or remove scale");
}

void check_port(const Subject& s, const std::string& name, const spec::Reader& app, Report& report) {
  if (app.has("port")) return;
  for (const char* field : {"hosts", "paths", "webSocket", "rateLimit", "canary"}) {
    if (!app.has(field)) continue;
    report.error(app, field, "needs_port", fmt::format("{} has {} and listens on no port", name, field),
                 "add port: NUMBER");
    return;
  }
  for (const auto& [other, caller] : s.spec.named("apps")) {
    const auto uses = caller.texts("uses");
    for (std::size_t i = 0; i < uses.size(); ++i) {
      if (uses[i].first != name || other == name) continue;
      report.error_in(caller, "uses", i, uses[i].second, "needs_port",
                      fmt::format("{} calls {}, which listens on no port", other, name),
                      fmt::format("add port: NUMBER to apps.{}", name));
    }
  }
}

void check_canary(const Subject& s, const std::string& name, const spec::Reader& app, Report& report) {
  if (!app.has("canary")) return;
  if (app.text("canary.image") == app.text("image"))
    report.error(app, "canary.image", "same_image",
                 fmt::format("the next version of {} is the present one", name),
                 "write the image of the next version, or remove canary");
  const bool mesh = s.use("mesh") == "istio" && s.spec.text("components.mesh.mode") == "sidecar";
  const bool entry = app.has("hosts") && s.use("gateway") != "none";
  if (!mesh && !entry)
    report.error(
        app, "canary", "needs_component",
        fmt::format("nothing shares out the requests to {}: it has no host at a gateway and there is no mesh "
                    "of sidecars",
                    name),
        "add components.mesh: {use: istio, mode: sidecar}, or hosts");
}

void check_published(const std::string& name, const spec::Reader& app, Report& report) {
  if (app.has("hosts")) return;
  for (const char* field : {"paths", "rateLimit"}) {
    if (app.has(field) && app.has("port"))
      report.error(app, field, "not_published",
                   fmt::format("{} is reached through no gateway, so {} would hold nothing", name, field),
                   "add hosts, or remove it");
  }
  if (app.text("affinity") == "cookie" && app.has("port"))
    report.error(app, "affinity", "not_published",
                 fmt::format("{} is reached through no gateway that could set a cookie", name),
                 "add hosts, or remove affinity");
}

void check_pools(const Subject& s, Report& report) {
  const std::string scaler = s.spec.text("components.autoscaling.nodes");
  for (const auto& [name, pool] : s.spec.named("pools")) {
    const std::int64_t low = pool.integer("count.min"), high = pool.integer("count.max");
    if (pool.integer("spot.onDemandBase") > high)
      report.error(pool, "spot.onDemandBase", "above_bound",
                   fmt::format("{} nodes are never spot, and the pool {} has {} at most",
                               pool.integer("spot.onDemandBase"), name, high),
                   fmt::format("set it to {} or less", high));
    if (scaler == "none" && low < high)
      report.error(pool, "count", "nobody_scales",
                   fmt::format("{} can have {} to {} nodes, and components.autoscaling.nodes is none", name,
                               low, high),
                   "write nodes: cluster-autoscaler, or one count");
  }
}

void check_data(const Subject& s, Report& report) {
  for (const auto& [name, d] : s.spec.named("data")) {
    const std::int64_t members = d.integer("instances");
    for (const auto& [topic, t] : d.named("topics")) {
      if (t.has("replicas") && t.integer("replicas") > members)
        report.error(t, "replicas", "above_bound",
                     fmt::format("{} copies of the topic {} need {} instances, and {} has {}",
                                 t.integer("replicas"), topic, t.integer("replicas"), name, members),
                     fmt::format("set it to {} or less, or raise instances", members));
    }
    if (d.text("use") == "kafka" && members % 2 == 0)
      report.error(d, "instances", "even_members",
                   fmt::format("{} members of {} agree no better than {}", members, name, members - 1),
                   fmt::format("write {} or {}", members - 1, members + 1));
  }
  if (s.spec.integer("components.chat.replicas") > 1 && s.spec.text("components.chat.database").empty() &&
      s.use("chat") != "none")
    report.error(s.spec, "components.chat.replicas", "needs_database",
                 "copies of the page would each have a file of users of their own",
                 "add components.chat.database: NAME of a data service, or write replicas: 1");
}

}  // namespace

void check_scaling(const Subject& s, Report& report) {
  for (const auto& [name, app] : s.spec.named("apps")) {
    check_vertical(name, app, report);
    check_events(s, name, app, report);
    check_bounds(name, app, report);
    check_port(s, name, app, report);
    check_canary(s, name, app, report);
    check_published(name, app, report);
  }
  check_pools(s, report);
  check_data(s, report);
}

}  // namespace tg::verify
