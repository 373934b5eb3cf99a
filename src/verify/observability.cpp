// Metrics, logs, alerts and copies: what one of them needs of another.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "verify/facts.hpp"

namespace tg::verify {

namespace {

void check_rules(const Subject& s, const spec::Reader& alerts, Report& report) {
  for (const auto& [name, rule] : alerts.named("rules")) {
    std::vector<std::string> conditions;
    for (const char* field : {"cpu", "memory", "gpu", "disk", "expr"}) {
      if (rule.has(field)) conditions.emplace_back(field);
    }
    if (conditions.empty())
      report.error(rule, rule.has("workload") ? "workload" : "for", "empty_rule",
                   fmt::format("{} looks at nothing", name), "add cpu, memory, gpu, disk or expr");
    if (conditions.size() > 1)
      report.error(rule, conditions[1], "two_conditions",
                   fmt::format("{} looks at {} and {}", name, conditions[0], conditions[1]),
                   "make a rule for each");
    if (rule.has("gpu") && s.use("gpu") == "none")
      report.error(rule, "gpu", "needs_component", "nothing measures GPUs here: no pool has one",
                   "add gpu: {vendor: nvidia} to a pool, or remove the rule");
  }
}

void check_parts(const Subject& s, const spec::Reader& c, Report& report) {
  if (s.use("metrics") == "none") {
    std::string told;  // one word for each component
    for (const char* field : {"dashboards.host", "alerts.receivers", "alerts.rules", "alerts.routes"}) {
      const std::string component = std::string(field).substr(0, std::string_view(field).find('.'));
      if (!c.has(field) || component == told) continue;
      told = component;
      report.error(c, field, "needs_component", "there are no metrics to look at: components.metrics is none",
                   "write metrics: prometheus, or remove it");
    }
  }
  if (c.has("alerts.routes") && c.sub("alerts").named("receivers").empty())
    report.error(c, "alerts.routes", "needs_receiver", "alerts are sent on, and there is no receiver",
                 "add receivers: {NAME: {email: …}}");
  const double day = 24 * 3600, kept = c.seconds("logs.retention");
  if (c.has("logs.retention") && std::fmod(kept, day) != 0)
    report.error(c, "logs.retention", "whole_days", "the store deletes by whole days",
                 fmt::format("write {:.0f}d", std::ceil(kept / day)));
  if (c.text("logs.use") == "files" && c.text("logs.collector") != "fluentd" && c.has("logs.collector"))
    report.error(c, "logs.collector", "not_with", "files are written by fluentd", "write collector: fluentd");
  for (const char* field : {"logs.compress", "logs.path"}) {
    if (c.has(field) && s.use("logs") != "files")
      report.error(c, field, "not_with", fmt::format("{} writes no files", s.use("logs")),
                   "write use: files, or remove it");
  }
  if (c.text("logs.mode") == "distributed" && s.use("logs") != "loki")
    report.error(c, "logs.mode", "not_with", fmt::format("{} has no such mode", s.use("logs")), "remove it");
  if (c.text("logs.mode") == "distributed" && !s.cloud() && c.text("logs.storage.bucket").empty())
    report.error(c, "logs.mode", "needs_bucket", "many programs share one store, and a volume is on one node",
                 "add storage: {bucket: NAME}, or write mode: monolithic");
  if (c.text("serving.gateway") == "litellm" && s.use("serving") != "knative")
    report.error(c, "serving.gateway", "not_with",
                 fmt::format("litellm stands before knative, not before {}", s.use("serving")),
                 "remove it: tidegate offers the Routes");
}

void check_backup(const Subject& s, Report& report) {
  const spec::Reader backup = s.spec.sub("backup");
  if (!s.spec.has("backup")) return;
  const std::string endpoint = backup.text("store.s3.endpoint");
  const bool inside =
      endpoint.find(".svc") != std::string::npos || endpoint.find(".cluster.local") != std::string::npos;
  if (inside)
    report.error(backup, "store.s3.endpoint", "backup_beside",
                 fmt::format("{} is in the cluster: the copies are lost with it", endpoint),
                 "name a store outside the platform");
  if (!inside && s.hosts()) {
    for (const auto& [name, host] : s.infrastructure().named("hosts")) {
      if (endpoint.find(host.text("address")) == std::string::npos &&
          endpoint.find("/" + name) == std::string::npos)
        continue;
      report.error(
          backup, "store.s3.endpoint", "backup_beside",
          fmt::format("{} is {}, a node of the platform: the copies are lost with it", endpoint, name),
          "name a store outside the platform");
    }
  }
  if (endpoint.starts_with("http://"))
    report.error(backup, "store.s3.endpoint", "plain_http", "keys and copies would go over plain HTTP",
                 "write https://");
  if (backup.has("store.s3") && backup.has("store.bucket"))
    report.error(backup, "store.bucket", "two_stores",
                 "copies go to the cloud's bucket or to an S3 store, not to both", "remove bucket or s3");
  if (s.hosts() && backup.text("use") != "none" && !backup.has("store.s3"))
    report.error(s.spec, "backup", "needs_bucket", "it is not said where the copies go",
                 "add store: {s3: {…}}");
}

}  // namespace

void check_observability(const Subject& s, Report& report) {
  const spec::Reader components = s.spec.sub("components");
  check_rules(s, components.sub("alerts"), report);
  check_parts(s, components, report);
  check_backup(s, report);
}

}  // namespace tg::verify
