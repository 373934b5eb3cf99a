#include "render/component/alert_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "render/component/observability.hpp"

namespace tg::render::observability {

namespace {

const Labels kContainer{{"namespace", "chat"}, {"pod", "web-0"}, {"container", "web"}};

// A series with its labels, for the proofs.
std::string series(std::string_view name, const Labels& labels) {
  std::string out(name);
  char mark = '{';
  for (const auto& [key, value] : labels) {
    out += fmt::format("{}{}=\"{}\"", mark, key, value);
    mark = ',';
  }
  return labels.empty() ? out : out + "}";
}

Labels with(Labels labels, std::string key, std::string value) {
  labels.insert_or_assign(std::move(key), std::move(value));
  return labels;
}

AlertGroup workloads() {
  const Labels deployment{{"namespace", "chat"}, {"deployment", "web"}};
  const Labels pod{{"namespace", "chat"}, {"pod", "web-0"}};
  const Labels claim{{"namespace", "chat"}, {"persistentvolumeclaim", "data"}};
  AlertGroup out{"workloads", {}};
  out.alerts.push_back(
      {.name = "PodCrashLooping",
       .expr =
           "max_over_time(kube_pod_container_status_waiting_reason{reason=\"CrashLoopBackOff\"}[5m]) >= 1",
       .duration = "10m",
       .severity = "critical",
       .summary = "{{ $labels.container }} of {{ $labels.namespace }}/{{ $labels.pod }} keeps crashing",
       .description = "The container starts and ends again, for ten minutes now.",
       .action = "`kubectl -n NAMESPACE logs POD -c CONTAINER --previous` has its last words, "
                 "`kubectl -n NAMESPACE describe pod POD` its exit code. 137 is out of memory.",
       .input = {{series("kube_pod_container_status_waiting_reason",
                         with(kContainer, "reason", "CrashLoopBackOff")),
                  "1x30"}},
       .quiet = "9m",
       .fires = "10m",
       .expected = with(kContainer, "reason", "CrashLoopBackOff")});
  out.alerts.push_back(
      {.name = "PodOutOfMemory",
       .expr = "increase(kube_pod_container_status_restarts_total[10m]) > 0\n"
               "and on (namespace, pod, container)\n"
               "kube_pod_container_status_last_terminated_reason{reason=\"OOMKilled\"} == 1",
       .severity = "warning",
       .summary = "{{ $labels.container }} of {{ $labels.namespace }}/{{ $labels.pod }} ran out of memory",
       .description = "The kernel ended it at its memory limit.",
       .action =
           "Compare `kubectl top pod` with the limit; raise `resources.limits.memory` or find the leak.",
       .input = {{series("kube_pod_container_status_restarts_total", kContainer), "0x5 1x20"},
                 {series("kube_pod_container_status_last_terminated_reason",
                         with(kContainer, "reason", "OOMKilled")),
                  "1x30"}},
       .quiet = "4m",
       .fires = "8m",
       .expected = kContainer});
  out.alerts.push_back(
      {.name = "PodNotScheduled",
       .expr = "max by (namespace, pod) (kube_pod_status_phase{phase=\"Pending\"}) == 1",
       .duration = "15m",
       .severity = "warning",
       .summary = "{{ $labels.namespace }}/{{ $labels.pod }} has been waiting for a node or a volume",
       .description = "No node has room for it, a volume is missing, or its image cannot be fetched.",
       .action =
           "`kubectl -n NAMESPACE describe pod POD` names the reason at its end; `kubectl top nodes` and "
           "`kubectl -n NAMESPACE get pvc` show room and volumes.",
       .input = {{series("kube_pod_status_phase", with(pod, "phase", "Pending")), "1x30"}},
       .quiet = "14m",
       .fires = "15m",
       .expected = pod});
  out.alerts.push_back(
      {.name = "ContainerMemoryHigh",
       .expr =
           "max by (namespace, pod, container) (container_memory_working_set_bytes{container!=\"\"})\n"
           "/ max by (namespace, pod, container) (kube_pod_container_resource_limits{resource=\"memory\"})\n"
           "> 0.9",
       .duration = "10m",
       .severity = "warning",
       .summary = "{{ $labels.container }} of {{ $labels.namespace }}/{{ $labels.pod }} uses "
                  "{{ $value | humanizePercentage }} of its memory",
       .description = "At 100 % the kernel ends it.",
       .action = "Look at the trend in the dashboard \"Cluster\"; raise the limit before it is reached.",
       .input = {{series("container_memory_working_set_bytes", kContainer), "95x30"},
                 {series("kube_pod_container_resource_limits", with(kContainer, "resource", "memory")),
                  "100x30"}},
       .quiet = "9m",
       .fires = "10m",
       .expected = kContainer,
       .value = "95%"});
  out.alerts.push_back(
      {.name = "VolumeAlmostFull",
       .expr = "max by (namespace, persistentvolumeclaim) (kubelet_volume_stats_used_bytes)\n"
               "/ max by (namespace, persistentvolumeclaim) (kubelet_volume_stats_capacity_bytes)\n> 0.85",
       .duration = "5m",
       .severity = "warning",
       .summary = "Volume {{ $labels.namespace }}/{{ $labels.persistentvolumeclaim }} is "
                  "{{ $value | humanizePercentage }} full",
       .description = "Programs stop when they cannot write.",
       .action = "Raise the size of the claim where the class can grow volumes, or remove what is old.",
       .input = {{series("kubelet_volume_stats_used_bytes", claim), "90x20"},
                 {series("kubelet_volume_stats_capacity_bytes", claim), "100x20"}},
       .quiet = "4m",
       .fires = "5m",
       .expected = claim,
       .value = "90%"});
  out.alerts.push_back(
      {.name = "JobFailed",
       .expr = "max by (namespace, job_name) (kube_job_failed{condition=\"true\"}) == 1",
       .duration = "5m",
       .severity = "warning",
       .summary = "Job {{ $labels.namespace }}/{{ $labels.job_name }} failed",
       .description = "It gave up after its last try.",
       .action = "`kubectl -n NAMESPACE logs job/JOB` says why; delete the Job when it is understood.",
       .input = {{series("kube_job_failed",
                         {{"namespace", "backup"}, {"job_name", "copy-1"}, {"condition", "true"}}),
                  "1x20"}},
       .quiet = "4m",
       .fires = "5m",
       .expected = {{"namespace", "backup"}, {"job_name", "copy-1"}}});
  // Updates that do not come through.
  out.alerts.push_back(
      {.name = "RolloutFailed",
       .expr = "max by (namespace, deployment) "
               "(kube_deployment_status_condition{condition=\"Progressing\", status=\"false\"}) == 1",
       .duration = "5m",
       .severity = "critical",
       .summary = "The update of {{ $labels.namespace }}/{{ $labels.deployment }} failed",
       .description = "New pods do not become ready before the deadline; the old ones still answer.",
       .action =
           "`kubectl -n NAMESPACE rollout undo deployment/NAME` goes back; `kubectl -n NAMESPACE describe "
           "deployment NAME` says what is missing.",
       .input = {{series("kube_deployment_status_condition",
                         with(with(deployment, "condition", "Progressing"), "status", "false")),
                  "1x20"}},
       .quiet = "4m",
       .fires = "5m",
       .expected = deployment});
  out.alerts.push_back(
      {.name = "StatefulSetUpdateStuck",
       .expr = "max by (namespace, statefulset) (kube_statefulset_status_replicas_ready)\n"
               "< max by (namespace, statefulset) (kube_statefulset_replicas)",
       .duration = "15m",
       .severity = "warning",
       .summary = "{{ $labels.namespace }}/{{ $labels.statefulset }} lacks replicas",
       .description = "A member is not ready for a quarter of an hour: an update or a volume is stuck.",
       .action =
           "`kubectl -n NAMESPACE get pods` and `describe` the one that is not ready; a member that fails "
           "holds up all that come after it.",
       .input = {{series("kube_statefulset_status_replicas_ready",
                         {{"namespace", "data"}, {"statefulset", "app"}}),
                  "0x30"},
                 {series("kube_statefulset_replicas", {{"namespace", "data"}, {"statefulset", "app"}}),
                  "1x30"}},
       .quiet = "14m",
       .fires = "15m",
       .expected = {{"namespace", "data"}, {"statefulset", "app"}}});
  out.alerts.push_back(
      {.name = "TargetDown",
       .expr = "max by (namespace, job) (up) == 0",
       .duration = "10m",
       .severity = "warning",
       .summary = "Nothing is measured of {{ $labels.namespace }}/{{ $labels.job }}",
       .description = "Prometheus cannot reach it, so its other alerts are silent.",
       .action = "Status, Targets in Prometheus names the error; a timeout is often a network policy.",
       .input = {{series("up", {{"namespace", "chat"}, {"job", "web"}, {"instance", "10.0.0.1:80"}}),
                  "0x20"}},
       .quiet = "9m",
       .fires = "10m",
       .expected = {{"namespace", "chat"}, {"job", "web"}}});
  return out;
}

AlertGroup nodes() {
  const Labels node{{"instance", "10.0.0.1:9100"}};
  const Labels root{
      {"instance", "10.0.0.1:9100"}, {"mountpoint", "/"}, {"fstype", "ext4"}, {"device", "sda1"}};
  AlertGroup out{"nodes", {}};
  out.alerts.push_back(
      {.name = "NodeNotReady",
       .expr = "max by (node) (kube_node_status_condition{condition=\"Ready\", status=\"true\"}) == 0",
       .duration = "5m",
       .severity = "critical",
       .summary = "Node {{ $labels.node }} does not answer",
       .description = "Its pods are moved after five minutes, those with local volumes cannot be.",
       .action = "`kubectl describe node NODE`; on the machine `journalctl -u kubelet` (k3s: `-u k3s`).",
       .input = {{series("kube_node_status_condition",
                         {{"node", "n1"}, {"condition", "Ready"}, {"status", "true"}}),
                  "0x20"}},
       .quiet = "4m",
       .fires = "5m",
       .expected = {{"node", "n1"}}});
  out.alerts.push_back(
      {.name = "NodeMemoryHigh",
       .expr = "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes > 0.9",
       .duration = "10m",
       .severity = "warning",
       .summary = "{{ $labels.instance }} uses {{ $value | humanizePercentage }} of its memory",
       .description = "The kubelet will soon evict pods.",
       .action = "`kubectl top pods -A --sort-by=memory`; lower a request or add a node.",
       .input = {{series("node_memory_MemAvailable_bytes", node), "5x20"},
                 {series("node_memory_MemTotal_bytes", node), "100x20"}},
       .quiet = "9m",
       .fires = "10m",
       .expected = node,
       .value = "95%"});
  out.alerts.push_back(
      {.name = "NodeCpuHigh",
       .expr = "1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[5m])) > 0.8",
       .duration = "15m",
       .severity = "warning",
       .summary = "{{ $labels.instance }} uses {{ $value | humanizePercentage }} of its processors",
       .description = "For a quarter of an hour: answers get slower.",
       .action = "`kubectl top pods -A --sort-by=cpu`; spread the load or add a node.",
       // Six idle seconds in a minute: 90 % are used.
       .input = {{series("node_cpu_seconds_total",
                         {{"instance", "10.0.0.1:9100"}, {"mode", "idle"}, {"cpu", "0"}}),
                  "0+6x40"}},
       .quiet = "15m",
       .fires = "18m",
       .expected = node,
       .value = "90%"});
  out.alerts.push_back(
      {.name = "NodeDiskAlmostFull",
       .expr = "1 - node_filesystem_avail_bytes{fstype!~\"tmpfs|overlay|squashfs|ramfs\"}\n"
               "/ node_filesystem_size_bytes{fstype!~\"tmpfs|overlay|squashfs|ramfs\"} > 0.85",
       .duration = "10m",
       .severity = "warning",
       .summary =
           "{{ $labels.mountpoint }} of {{ $labels.instance }} is {{ $value | humanizePercentage }} full",
       .description = "At about 90 % the kubelet evicts pods and removes images.",
       .action =
           "On the machine: `du -xh --max-depth=2 PATH | sort -h | tail`; `crictl rmi --prune` frees images.",
       .input = {{series("node_filesystem_avail_bytes", root), "10x20"},
                 {series("node_filesystem_size_bytes", root), "100x20"}},
       .quiet = "9m",
       .fires = "10m",
       .expected = root,
       .value = "90%"});
  return out;
}

AlertGroup security() {
  AlertGroup out{"security", {}};
  out.alerts.push_back(
      {.name = "ApiLoginsFail",
       .expr = "sum(rate(authentication_attempts{result=~\"error|failure\"}[5m])) > 0.5",
       .duration = "10m",
       .severity = "warning",
       .summary = "The API server refuses many logins",
       .description = "Somebody tries tokens or certificates, or a program has an expired one.",
       .action = "The audit log has the addresses: look for responseStatus.code 401. Rotate what was shown.",
       .input = {{series("authentication_attempts", {{"result", "error"}}), "0+60x30"}},
       .quiet = "10m",
       .fires = "15m"});
  out.alerts.push_back(
      {.name = "ApiAccessDenied",
       .expr = "sum by (verb, resource) (rate(apiserver_request_total{code=\"403\"}[5m])) > 0.5",
       .duration = "10m",
       .severity = "warning",
       .summary = "Many requests to {{ $labels.verb }} {{ $labels.resource }} are forbidden",
       .description = "An identity asks for what it has no right to: a fault in its role, or a search.",
       .action = "The audit log names it. `kubectl auth can-i --list --as=IDENTITY` shows what it may.",
       .input = {{series("apiserver_request_total", {{"code", "403"},
                                                     {"verb", "LIST"},
                                                     {"resource", "secrets"},
                                                     {"instance", "10.0.0.1:6443"}}),
                  "0+60x30"}},
       .quiet = "10m",
       .fires = "15m",
       .expected = {{"verb", "LIST"}, {"resource", "secrets"}}});
  out.alerts.push_back(
      {.name = "PodSecurityDenied",
       .expr = "sum by (policy_level, resource) "
               "(increase(pod_security_evaluations_total{decision=\"deny\", mode=\"enforce\"}[15m])) > 0",
       .severity = "warning",
       .summary = "A pod was refused by the level {{ $labels.policy_level }}",
       .description = "It asked for more rights than its namespace gives.",
       .action =
           "`kubectl get events -A --field-selector reason=FailedCreate` names it and what it asked for.",
       .input = {{series("pod_security_evaluations_total", {{"decision", "deny"},
                                                            {"mode", "enforce"},
                                                            {"policy_level", "restricted"},
                                                            {"resource", "pod"},
                                                            {"instance", "10.0.0.1:6443"}}),
                  "0x5 1x20"}},
       .quiet = "4m",
       .fires = "8m",
       .expected = {{"policy_level", "restricted"}, {"resource", "pod"}}});
  out.alerts.push_back({.name = "AuditEventsLost",
                        .expr = "sum(rate(apiserver_audit_error_total[5m])) > 0",
                        .duration = "5m",
                        .severity = "critical",
                        .summary = "The API server cannot write its audit log",
                        .description = "What happens now leaves no trace.",
                        .action = "Look at the room of the disk and the log of the API server.",
                        .input = {{series("apiserver_audit_error_total", {{"plugin", "log"}}), "0+1x20"}},
                        .quiet = "5m",
                        .fires = "7m"});
  out.alerts.push_back(
      {.name = "KubernetesVersionsDiffer",
       .expr = "count(count by (git_version) (kubernetes_build_info)) > 1",
       .duration = "4h",
       .severity = "warning",
       .summary = "Nodes and control plane run different versions",
       .description = "For four hours: an update stopped half-way.",
       .action = "`kubectl get nodes` shows who is behind; continue the update in the order of the chapter "
                 "Upgrade.",
       .input = {{series("kubernetes_build_info", {{"git_version", "v1.35.7"}, {"instance", "a"}}), "1x300"},
                 {series("kubernetes_build_info", {{"git_version", "v1.35.8"}, {"instance", "b"}}), "1x300"}},
       .quiet = "239m",
       .fires = "240m"});
  return out;
}

// How each gateway counts its answers: the failed ones, all, and the time they took.
struct Traffic {
  std::string_view use, failed, all, bucket;
  double per_second;  // of the unit of the buckets
  Labels failed_labels, all_labels;
};

std::vector<Traffic> traffics() {
  const Labels envoy{{"envoy_http_conn_manager_prefix", "https"}};
  return {
      {"envoy-gateway", "envoy_http_downstream_rq_xx{envoy_response_code_class=\"5\"}",
       "envoy_http_downstream_rq_xx", "envoy_http_downstream_rq_time_bucket", 1000,
       with(envoy, "envoy_response_code_class", "5"), with(envoy, "envoy_response_code_class", "2")},
      {"traefik",
       "traefik_entrypoint_requests_total{code=~\"5..\"}",
       "traefik_entrypoint_requests_total",
       "traefik_entrypoint_request_duration_seconds_bucket",
       1,
       {{"code", "502"}, {"entrypoint", "websecure"}},
       {{"code", "200"}, {"entrypoint", "websecure"}}},
      {"ingress-nginx",
       "nginx_ingress_controller_requests{status=~\"5..\"}",
       "nginx_ingress_controller_requests",
       "nginx_ingress_controller_request_duration_seconds_bucket",
       1,
       {{"status", "502"}, {"host", "a"}},
       {{"status", "200"}, {"host", "a"}}},
      {"istio",
       "istio_requests_total{reporter=\"source\", response_code=~\"5..\"}",
       "istio_requests_total{reporter=\"source\"}",
       "istio_request_duration_milliseconds_bucket",
       1000,
       {{"reporter", "source"}, {"response_code", "503"}},
       {{"reporter", "source"}, {"response_code", "200"}}},
  };
}

std::string bare(std::string_view selector) { return std::string(selector.substr(0, selector.find('{'))); }

AlertGroup requests(const Traffic& t) {
  AlertGroup out{"requests", {}};
  out.alerts.push_back(
      {.name = "GatewayErrorRateHigh",
       .expr = fmt::format("sum(rate({}[5m]))\n/ sum(rate({}[5m]))\n> 0.05", t.failed, t.all),
       .duration = "5m",
       .severity = "critical",
       .summary = "{{ $value | humanizePercentage }} of the answers of the gateway are errors",
       .description = "More than 5 % of the requests end with a server error, for five minutes.",
       .action = "The dashboard \"Gateway\" shows which host; then the logs of the program behind it.",
       .input = {{series(bare(t.failed), t.failed_labels), "0+10x30"},
                 {series(bare(t.all), t.all_labels), "0+90x30"}},
       .quiet = "5m",
       .fires = "8m",
       .value = "10%"});
  // Ten requests a minute: below 100 ms for a day, then below one second.
  const auto le = [&](double seconds) { return fmt::format("{}", seconds * t.per_second); };
  out.alerts.push_back(
      {.name = "AnswersSlowerThanYesterday",
       .expr = fmt::format("histogram_quantile(0.95, sum by (le) (rate({0}[10m])))\n"
                           "> 2 * histogram_quantile(0.95, sum by (le) (rate({0}[10m] offset 1d)))\n"
                           "and histogram_quantile(0.95, sum by (le) (rate({0}[10m]))) > {1}",
                           t.bucket, 0.5 * t.per_second),
       .duration = "15m",
       .severity = "warning",
       .summary = "Answers take more than twice the time of yesterday",
       .description = "The slowest twentieth, compared with the same ten minutes of the day before.",
       .action = "Look for what changed since: updates in the dashboard \"Cluster\", load in \"Gateway\".",
       .input = {{series(t.bucket, {{"le", le(0.1)}}), "0+10x1500 15000x100"},
                 {series(t.bucket, {{"le", le(1)}}), "0+10x1600"},
                 {series(t.bucket, {{"le", "+Inf"}}), "0+10x1600"}},
       .quiet = "25h",
       .fires = "26h"});
  return out;
}

AlertGroup certificates() {
  const Labels one{{"namespace", "gateway-system"}, {"name", "example-com"}};
  AlertGroup out{"certificates", {}};
  out.alerts.push_back(
      {.name = "CertificateNotReady",
       .expr = "max by (namespace, name) (certmanager_certificate_ready_status{condition=\"True\"}) == 0",
       .duration = "30m",
       .severity = "warning",
       .summary = "Certificate {{ $labels.namespace }}/{{ $labels.name }} was not issued",
       .description = "The authority could not see that the name is ours.",
       .action =
           "`kubectl get challenges -A` and `describe` the one that hangs: DNS, port 80 or a limit of the "
           "authority.",
       .input = {{series("certmanager_certificate_ready_status", with(one, "condition", "True")), "0x40"}},
       .quiet = "29m",
       .fires = "30m",
       .expected = one});
  return out;
}

const Labels kDataTeam{{"team", "data"}};

// Connections that are used, and how many there may be, as each exporter says it.
Alert connections(const std::string& used, const std::string& most, std::vector<Series> input,
                  Labels expected) {
  return {.name = "DatabaseConnectionsExhausted",
          .expr = fmt::format("{}\n/ {}\n> 0.9", used, most),
          .duration = "5m",
          .severity = "critical",
          .summary =
              "{{ $labels.namespace }}/{{ $labels.pod }} uses {{ $value | humanizePercentage }} of its "
              "connections",
          .description = "New connections will be refused.",
          .action =
              "Find who holds them: `SELECT usename, state, count(*) FROM pg_stat_activity GROUP BY 1, 2`. "
              "Lower the pools of the programs before max_connections is raised.",
          .labels = kDataTeam,
          .input = std::move(input),
          .quiet = "4m",
          .fires = "5m",
          .expected = std::move(expected),
          .value = "95%"};
}

void add_data(const std::set<std::string>& used, bool small, std::vector<AlertGroup>& out) {
  const Labels pod{{"namespace", "data"}, {"pod", "app-1"}};
  if (used.contains("timescaledb") || (used.contains("postgresql") && !small)) {
    AlertGroup g{"postgresql", {}};
    g.alerts.push_back(
        connections("sum by (namespace, pod) (cnpg_backends_total)",
                    "max by (namespace, pod) (cnpg_pg_settings_setting{name=\"max_connections\"})",
                    {{series("cnpg_backends_total", with(pod, "datname", "app")), "95x20"},
                     {series("cnpg_pg_settings_setting", with(pod, "name", "max_connections")), "100x20"}},
                    pod));
    g.alerts.push_back({.name = "DatabaseReplicaBehind",
                        .expr = "max by (namespace, pod) (cnpg_pg_replication_lag) > 60",
                        .duration = "5m",
                        .severity = "warning",
                        .summary = "{{ $labels.namespace }}/{{ $labels.pod }} is more than a minute behind",
                        .description = "A failover now would lose that minute.",
                        .action = "Look at the network and the disk of the replica; `kubectl cnpg status "
                                  "CLUSTER` shows both ends.",
                        .labels = kDataTeam,
                        .input = {{series("cnpg_pg_replication_lag", pod), "90x20"}},
                        .quiet = "4m",
                        .fires = "5m",
                        .expected = pod});
    out.push_back(std::move(g));
  } else if (used.contains("postgresql") || used.contains("aurora-postgresql")) {
    AlertGroup g{"postgresql", {}};
    g.alerts.push_back(connections(
        "sum by (namespace, pod) (pg_stat_activity_count)",
        "max by (namespace, pod) (pg_settings_max_connections)",
        {{series("pg_stat_activity_count", with(with(pod, "datname", "app"), "state", "active")), "95x20"},
         {series("pg_settings_max_connections", pod), "100x20"}},
        pod));
    out.push_back(std::move(g));
  }
  if (used.contains("valkey")) {
    AlertGroup g{"valkey", {}};
    g.alerts.push_back({.name = "ValkeyDown",
                        .expr = "max by (namespace, pod) (redis_up) == 0",
                        .duration = "5m",
                        .severity = "critical",
                        .summary = "Valkey {{ $labels.namespace }}/{{ $labels.pod }} does not answer",
                        .description = "Sessions, queues and limits that live there stand still.",
                        .action =
                            "`kubectl -n NAMESPACE logs POD` and `describe`; a full volume or the memory "
                            "limit are the usual causes.",
                        .labels = kDataTeam,
                        .input = {{series("redis_up", pod), "0x20"}},
                        .quiet = "4m",
                        .fires = "5m",
                        .expected = pod});
    out.push_back(std::move(g));
  }
  if (used.contains("kafka")) {
    const Labels group{{"consumergroup", "ingest"}, {"topic", "usage"}};
    AlertGroup g{"kafka", {}};
    g.alerts.push_back(
        {.name = "KafkaConsumerLagGrows",
         .expr = "sum by (consumergroup, topic) (kafka_consumergroup_lag) > 1000\n"
                 "and sum by (consumergroup, topic) (deriv(kafka_consumergroup_lag[15m])) > 0",
         .duration = "15m",
         .severity = "warning",
         .summary = "Consumers {{ $labels.consumergroup }} fall behind on {{ $labels.topic }}",
         .description = "More is written than they read, for a quarter of an hour.",
         .action =
             "Are the consumers well, and as many as the topic has partitions? Raise `replicas.max` or the "
             "partitions.",
         .labels = kDataTeam,
         .input = {{series("kafka_consumergroup_lag", with(group, "partition", "0")), "0+200x40"}},
         .quiet = "20m",
         .fires = "22m",
         .expected = group});
    g.alerts.push_back(
        {.name = "KafkaPartitionsUnderReplicated",
         .expr = "sum by (topic) (kafka_topic_partition_under_replicated_partition) > 0",
         .duration = "10m",
         .severity = "critical",
         .summary = "Topic {{ $labels.topic }} lacks copies",
         .description = "Another lost broker can lose messages.",
         .action =
             "`kubectl -n data get pods -l strimzi.io/kind=Kafka`; the broker that is missing says why.",
         .labels = kDataTeam,
         .input = {{series("kafka_topic_partition_under_replicated_partition",
                           {{"topic", "usage"}, {"partition", "0"}}),
                    "1x20"}},
         .quiet = "9m",
         .fires = "10m",
         .expected = {{"topic", "usage"}}});
    out.push_back(std::move(g));
  }
}

}  // namespace

std::vector<AlertGroup> built_in_alerts(const Context& context) {
  std::vector<AlertGroup> out{workloads(), nodes(), security()};
  for (const Traffic& t : traffics()) {
    if (t.use == context.use("gateway")) out.push_back(requests(t));
  }
  if (context.use("certificates") == "cert-manager" && context.use("gateway") != "none")
    out.push_back(certificates());
  std::set<std::string> data;
  for (const auto& [name, service] : context.spec().named("data")) data.insert(service.text("use"));
  add_data(data, context.small(), out);
  return out;
}

}  // namespace tg::render::observability
