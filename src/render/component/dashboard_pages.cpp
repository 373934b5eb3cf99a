#include "render/component/dashboard_pages.hpp"

#include <fmt/format.h>

#include <set>

#include "render/component/observability.hpp"

namespace tg::render::observability {

namespace {

const std::string kRate = "[$__rate_interval]";

Panel graph(std::string title, std::string unit, std::vector<Query> queries, int width = 12) {
  return {.title = std::move(title), .queries = std::move(queries), .unit = std::move(unit), .width = width};
}

Panel figure(std::string title, std::string unit, std::string expr) {
  return {.title = std::move(title),
          .queries = {{std::move(expr), ""}},
          .unit = std::move(unit),
          .kind = "stat",
          .width = 6};
}

Panel lines(std::string title, std::string expr) {
  return {.title = std::move(title),
          .queries = {{std::move(expr), ""}},
          .kind = "logs",
          .source = "loki",
          .width = 24};
}

Dashboard cluster() {
  return {
      .uid = "cluster",
      .title = "Cluster",
      .folder = "Platform",
      .panels = {
          figure("Nodes ready", "short",
                 "sum(kube_node_status_condition{condition=\"Ready\", status=\"true\"})"),
          figure("Pods running", "short", "sum(kube_pod_status_phase{phase=\"Running\"})"),
          figure("Pods that wait or failed", "short",
                 "sum(kube_pod_status_phase{phase=~\"Pending|Failed|Unknown\"})"),
          figure("Alerts", "short",
                 "count(ALERTS{alertstate=\"firing\", alertname!~\"Watchdog|InfoInhibitor\"}) or vector(0)"),
          graph("Processor of nodes", "percentunit",
                {{"1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}" + kRate + "))",
                  "{{instance}}"}}),
          graph("Memory of nodes", "percentunit",
                {{"1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", "{{instance}}"}}),
          graph("Pods by namespace and state", "short",
                {{"sum by (namespace, phase) (kube_pod_status_phase) > 0", "{{namespace}} {{phase}}"}}),
          graph("Volumes", "percentunit",
                {{"max by (namespace, persistentvolumeclaim) (kubelet_volume_stats_used_bytes) / max by "
                  "(namespace, "
                  "persistentvolumeclaim) (kubelet_volume_stats_capacity_bytes)",
                  "{{namespace}}/{{persistentvolumeclaim}}"}}),
          graph("Requested of what nodes have", "percentunit",
                {{"sum(kube_pod_container_resource_requests{resource=\"cpu\"}) / "
                  "sum(kube_node_status_allocatable{resource=\"cpu\"})",
                  "cpu"},
                 {"sum(kube_pod_container_resource_requests{resource=\"memory\"}) / "
                  "sum(kube_node_status_allocatable{resource=\"memory\"})",
                  "memory"}}),
          graph("Restarts", "short",
                {{"sum by (namespace) (increase(kube_pod_container_status_restarts_total[10m])) > 0",
                  "{{namespace}}"}}),
          graph("Updates that wait", "short",
                {{"sum by (namespace, deployment) (kube_deployment_spec_replicas - "
                  "kube_deployment_status_replicas_updated) > 0",
                  "{{namespace}}/{{deployment}}"}}),
          graph("Requests to the API server", "reqps",
                {{"sum by (code) (rate(apiserver_request_total" + kRate + "))", "{{code}}"}}),
      }};
}

Dashboard nodes() {
  return {
      .uid = "nodes",
      .title = "Nodes",
      .folder = "Platform",
      .panels = {
          graph("Processor by mode", "percentunit",
                {{"avg by (instance, mode) (rate(node_cpu_seconds_total{mode!=\"idle\"}" + kRate + "))",
                  "{{instance}} {{mode}}"}}),
          graph("Load", "short", {{"node_load1", "{{instance}} 1m"}, {"node_load15", "{{instance}} 15m"}}),
          graph("Memory", "bytes",
                {{"node_memory_MemTotal_bytes", "{{instance}} all"},
                 {"node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes", "{{instance}} used"}}),
          graph("Swap", "bytes",
                {{"node_memory_SwapTotal_bytes - node_memory_SwapFree_bytes", "{{instance}}"}}),
          graph("Disks full", "percentunit",
                {{"1 - node_filesystem_avail_bytes{fstype!~\"tmpfs|overlay|squashfs|ramfs\"} / "
                  "node_filesystem_size_bytes{fstype!~\"tmpfs|overlay|squashfs|ramfs\"}",
                  "{{instance}} {{mountpoint}}"}}),
          graph("Disks busy", "percentunit",
                {{"rate(node_disk_io_time_seconds_total" + kRate + ")", "{{instance}} {{device}}"}}),
          graph("Disks read and written", "Bps",
                {{"rate(node_disk_read_bytes_total" + kRate + ")", "{{instance}} {{device}} read"},
                 {"rate(node_disk_written_bytes_total" + kRate + ")", "{{instance}} {{device}} written"}}),
          graph("Network", "Bps",
                {{"sum by (instance) (rate(node_network_receive_bytes_total{device!~\"lo|veth.*|cali.*\"}" +
                      kRate + "))",
                  "{{instance}} in"},
                 {"sum by (instance) (rate(node_network_transmit_bytes_total{device!~\"lo|veth.*|cali.*\"}" +
                      kRate + "))",
                  "{{instance}} out"}}),
          graph("Pressure: waiting for memory", "percentunit",
                {{"rate(node_pressure_memory_waiting_seconds_total" + kRate + ")", "{{instance}}"}}),
          graph("Pressure: waiting for disks", "percentunit",
                {{"rate(node_pressure_io_waiting_seconds_total" + kRate + ")", "{{instance}}"}}),
      }};
}

// What requests tell, as each gateway counts them.
struct Traffic {
  std::string_view use;
  std::string_view all, failed, by, bucket, seconds;  // `seconds`: unit of the buckets for Grafana
};

constexpr auto kTraffic = std::to_array<Traffic>({
    {"envoy-gateway", "envoy_http_downstream_rq_xx",
     "envoy_http_downstream_rq_xx{envoy_response_code_class=\"5\"}", "envoy_http_conn_manager_prefix",
     "envoy_http_downstream_rq_time_bucket", "ms"},
    {"traefik", "traefik_service_requests_total", "traefik_service_requests_total{code=~\"5..\"}", "service",
     "traefik_service_request_duration_seconds_bucket", "s"},
    {"ingress-nginx", "nginx_ingress_controller_requests",
     "nginx_ingress_controller_requests{status=~\"5..\"}", "host",
     "nginx_ingress_controller_request_duration_seconds_bucket", "s"},
    {"istio", "istio_requests_total{reporter=\"source\"}",
     "istio_requests_total{reporter=\"source\", response_code=~\"5..\"}", "destination_service_name",
     "istio_request_duration_milliseconds_bucket", "ms"},
});

const Traffic* traffic(const Context& context) {
  const std::string use = context.use("gateway");
  for (const Traffic& t : kTraffic) {
    if (t.use == use) return &t;
  }
  return nullptr;
}

std::vector<Panel> request_panels(const Traffic& t) {
  return {
      graph("Requests", "reqps",
            {{fmt::format("sum by ({}) (rate({}{}))", t.by, t.all, kRate), "{{" + std::string(t.by) + "}}"}}),
      graph("Share of errors", "percentunit",
            {{fmt::format("sum(rate({0}{2})) / sum(rate({1}{2}))", t.failed, t.all, kRate), "5xx"}}),
      graph("Time to answer", std::string(t.seconds),
            {{fmt::format("histogram_quantile(0.5, sum by (le) (rate({}{})))", t.bucket, kRate), "half"},
             {fmt::format("histogram_quantile(0.95, sum by (le) (rate({}{})))", t.bucket, kRate), "95 %"},
             {fmt::format("histogram_quantile(0.99, sum by (le) (rate({}{})))", t.bucket, kRate), "99 %"}}),
  };
}

Dashboard gateway(const Context& context, const Traffic& t) {
  Dashboard out{.uid = "gateway", .title = "Gateway", .folder = "Platform", .panels = request_panels(t)};
  if (t.use == "envoy-gateway") {
    out.panels.push_back(graph("Connections", "short",
                               {{"sum by (envoy_http_conn_manager_prefix) (envoy_http_downstream_cx_active)",
                                 "{{envoy_http_conn_manager_prefix}}"}}));
    out.panels.push_back(graph("Backends that are well", "percentunit",
                               {{"sum by (envoy_cluster_name) (envoy_cluster_membership_healthy) / sum by "
                                 "(envoy_cluster_name) (envoy_cluster_membership_total)",
                                 "{{envoy_cluster_name}}"}}));
    out.panels.push_back(
        graph("Refused by rate limits", "reqps",
              {{"sum by (envoy_cluster_name) (rate(envoy_cluster_ratelimit_over_limit" + kRate + "))",
                "{{envoy_cluster_name}}"}}));
  } else if (t.use == "traefik") {
    out.panels.push_back(graph("Connections", "short",
                               {{"sum by (entrypoint) (traefik_open_connections)", "{{entrypoint}}"}}));
  } else if (t.use == "ingress-nginx") {
    out.panels.push_back(
        graph("Connections", "short",
              {{"sum by (state) (nginx_ingress_controller_nginx_process_connections)", "{{state}}"}}));
  }
  if (context.use("certificates") == "cert-manager")
    out.panels.push_back(graph("Days until certificates expire", "d",
                               {{"(certmanager_certificate_expiration_timestamp_seconds - time()) / 86400",
                                 "{{namespace}}/{{name}}"}}));
  return out;
}

// Connections to databases, as their exporters say it.
Query connections(const std::set<std::string>& data, bool small) {
  if (data.contains("timescaledb") || (data.contains("postgresql") && !small))
    return {
        "sum by (namespace, pod) (cnpg_backends_total) / max by (namespace, pod) "
        "(cnpg_pg_settings_setting{name=\"max_connections\"})",
        "{{namespace}}/{{pod}}"};
  if (data.contains("postgresql"))
    return {
        "sum by (namespace, pod) (pg_stat_activity_count) / max by (namespace, pod) "
        "(pg_settings_max_connections)",
        "{{namespace}}/{{pod}}"};
  return {};
}

Dashboard programs(const Traffic* t, const std::set<std::string>& data, bool small) {
  Dashboard out{.uid = "programs", .title = "Programs and API", .folder = "Platform"};
  if (t != nullptr) out.panels = request_panels(*t);
  if (Query q = connections(data, small); !q.expr.empty())
    out.panels.push_back(graph("Connections to databases that are used", "percentunit", {std::move(q)}));
  out.panels.push_back(graph(
      "Processor", "short",
      {{"sum by (namespace, pod) (rate(container_cpu_usage_seconds_total{container!=\"\"}" + kRate + "))",
        "{{namespace}}/{{pod}}"}}));
  out.panels.push_back(graph(
      "Memory of the limit", "percentunit",
      {{"max by (namespace, pod, container) (container_memory_working_set_bytes{container!=\"\"}) / max by "
        "(namespace, pod, container) (kube_pod_container_resource_limits{resource=\"memory\"})",
        "{{namespace}}/{{pod}} {{container}}"}}));
  out.panels.push_back(graph("Replicas", "short",
                             {{"sum by (namespace, deployment) (kube_deployment_status_replicas_available)",
                               "{{namespace}}/{{deployment}}"}}));
  out.panels.push_back(graph(
      "Replicas and the most that autoscalers may start", "short",
      {{"kube_horizontalpodautoscaler_status_current_replicas", "{{namespace}}/{{horizontalpodautoscaler}}"},
       {"kube_horizontalpodautoscaler_spec_max_replicas",
        "{{namespace}}/{{horizontalpodautoscaler}} most"}}));
  return out;
}

Dashboard kafka() {
  return {
      .uid = "kafka",
      .title = "Kafka",
      .folder = "Data",
      .panels = {
          figure("Brokers", "short", "max(kafka_brokers)"),
          figure("Partitions without all copies", "short",
                 "sum(kafka_topic_partition_under_replicated_partition)"),
          graph("Messages", "cps",
                {{"sum by (topic) (rate(kafka_topic_partition_current_offset" + kRate + "))", "{{topic}}"}}),
          graph("Consumer lag", "short",
                {{"sum by (consumergroup, topic) (kafka_consumergroup_lag)", "{{consumergroup}} {{topic}}"}}),
          graph("Consumers read", "cps",
                {{"sum by (consumergroup, topic) (rate(kafka_consumergroup_current_offset" + kRate + "))",
                  "{{consumergroup}} {{topic}}"}}),
          graph("Members of groups", "short",
                {{"sum by (consumergroup) (kafka_consumergroup_members)", "{{consumergroup}}"}}),
      }};
}

Dashboard valkey() {
  return {.uid = "redis",
          .title = "Redis (Valkey)",
          .folder = "Data",
          .panels = {
              graph("Operations", "ops",
                    {{"sum by (namespace, pod) (rate(redis_commands_processed_total" + kRate + "))",
                      "{{namespace}}/{{pod}}"}}),
              graph("Hit rate", "percentunit",
                    {{"sum by (pod) (rate(redis_keyspace_hits_total" + kRate +
                          ")) / (sum by (pod) (rate(redis_keyspace_hits_total" + kRate +
                          ")) + sum by (pod) (rate(redis_keyspace_misses_total" + kRate + ")))",
                      "{{pod}}"}}),
              graph("Memory", "bytes",
                    {{"redis_memory_used_bytes", "{{pod}} used"},
                     {"redis_memory_max_bytes > 0", "{{pod}} most"}}),
              graph("Clients", "short",
                    {{"redis_connected_clients", "{{pod}}"}, {"redis_blocked_clients", "{{pod}} blocked"}}),
              graph("Keys", "short", {{"sum by (pod, db) (redis_db_keys)", "{{pod}} {{db}}"}}),
              graph("Keys removed", "ops",
                    {{"rate(redis_evicted_keys_total" + kRate + ")", "{{pod}} evicted"},
                     {"rate(redis_expired_keys_total" + kRate + ")", "{{pod}} expired"}}),
          }};
}

Dashboard postgresql(const std::string& title, const std::string& uid, bool own_operator) {
  Dashboard out{.uid = uid, .title = title, .folder = "Data"};
  const auto name = [&](std::string_view tail) {
    return fmt::format("{}pg_stat_database_{}", own_operator ? "cnpg_" : "", tail);
  };
  const auto rates = [&](std::string_view tail, std::string_view legend) {
    return Query{fmt::format("sum by (pod, datname) (rate({}{}))", name(tail), kRate),
                 "{{pod}} {{datname}} " + std::string(legend)};
  };
  out.panels = {
      graph("Transactions", "ops", {rates("xact_commit", "done"), rates("xact_rollback", "undone")}),
      graph("Rows", "ops",
            {rates("tup_returned", "read"), rates("tup_inserted", "added"), rates("tup_updated", "changed"),
             rates("tup_deleted", "removed")}),
      graph("Blocks found in memory", "percentunit",
            {{fmt::format(
                  "sum by (pod) (rate({0}{2})) / (sum by (pod) (rate({0}{2})) + sum by (pod) (rate({1}{2})))",
                  name("blks_hit"), name("blks_read"), kRate),
              "{{pod}}"}}),
      graph("Time spent reading blocks", "ms", {rates("blk_read_time", "per second")}),
      graph("Deadlocks", "short", {rates("deadlocks", "")}),
      graph("Written to temporary files", "Bps", {rates("temp_bytes", "")}),
  };
  if (own_operator) {
    out.panels.push_back(
        graph("Longest transaction", "s",
              {{"max by (pod, datname) (cnpg_backends_max_tx_duration_seconds)", "{{pod}} {{datname}}"}}));
    out.panels.push_back(
        graph("Connections", "short",
              {{"sum by (pod, state) (cnpg_backends_total)", "{{pod}} {{state}}"},
               {"max by (pod) (cnpg_pg_settings_setting{name=\"max_connections\"})", "{{pod}} most"}}));
    out.panels.push_back(
        graph("Replicas behind", "s", {{"max by (pod) (cnpg_pg_replication_lag)", "{{pod}}"}}));
    out.panels.push_back(
        graph("Size", "bytes", {{"max by (datname) (cnpg_pg_database_size_bytes)", "{{datname}}"}}));
  } else {
    out.panels.push_back(
        graph("Longest transaction", "s",
              {{"max by (pod, datname) (pg_stat_activity_max_tx_duration)", "{{pod}} {{datname}}"}}));
    out.panels.push_back(graph("Connections", "short",
                               {{"sum by (pod, state) (pg_stat_activity_count)", "{{pod}} {{state}}"},
                                {"max by (pod) (pg_settings_max_connections)", "{{pod}} most"}}));
    out.panels.push_back(
        graph("Size", "bytes", {{"max by (datname) (pg_database_size_bytes)", "{{datname}}"}}));
  }
  return out;
}

// The three ways of asking that the runbook explains, ready to be changed.
Dashboard log_pages(const Program& program) {
  Panel by_level = graph("Lines by level", "short",
                         {{"sum by (level) (count_over_time({namespace=~\".+\"} [$__auto]))", "{{level}}"}});
  by_level.source = "loki";
  Panel by_namespace =
      graph("Bytes by namespace", "bytes",
            {{"sum by (namespace) (bytes_over_time({namespace=~\".+\"} [$__auto]))", "{{namespace}}"}});
  by_namespace.source = "loki";
  return {.uid = "logs",
          .title = "Logs",
          .folder = "Platform",
          .panels = {
              by_level, by_namespace, lines("Lines with errors", "{namespace=~\".+\"} |~ \"(?i)error\""),
              lines("One program", fmt::format("{{namespace=\"{}\", app=\"{}\"}}", program.ns, program.app)),
              lines("Fields of JSON lines", fmt::format("{{namespace=\"{}\"}} | json | __error__=\"\" | "
                                                        "line_format \"{{{{.level}}}} {{{{.msg}}}}\"",
                                                        program.ns)),
              lines("Machines", "{job=\"journal\"}")}};
}

}  // namespace

std::vector<Dashboard> built_in_dashboards(const Context& context) {
  std::set<std::string> data;
  for (const auto& [name, service] : context.spec().named("data")) data.insert(service.text("use"));
  std::vector<Dashboard> out{cluster(), nodes()};
  const Traffic* t = traffic(context);
  out.push_back(programs(t, data, context.small()));
  if (t != nullptr) out.push_back(gateway(context, *t));
  const bool own_operator = !context.small();
  if (data.contains("timescaledb")) out.push_back(postgresql("TimescaleDB", "timescaledb", true));
  if (data.contains("postgresql")) out.push_back(postgresql("PostgreSQL", "postgresql", own_operator));
  if (data.contains("valkey")) out.push_back(valkey());
  if (data.contains("kafka")) out.push_back(kafka());
  if (loki(context)) out.push_back(log_pages(example_program(context)));
  return out;
}

}  // namespace tg::render::observability
