// Logs as files: fluent-bit on every node sends to one fluentd, which writes a file a day; what is older than
// the retention is removed by a job, since fluentd never removes a file.
#include <fmt/format.h>

#include "catalog/images.hpp"
#include "render/component/components.hpp"
#include "render/component/logs.hpp"
#include "render/component/observability.hpp"

namespace tg::render::observability {

namespace {

const std::string kNs(kLogsNamespace);
const std::string kCollectors(kCollectorNamespace);
const std::string kFolder = "/var/log/fluent";  // where the chart mounts its volume
constexpr int kForward = 24224;
constexpr int kMetrics = 24231;
constexpr int kUser = 999;

std::string sources() {
  return fmt::format(
      "<source>\n  @type forward\n  @id from_nodes\n  bind 0.0.0.0\n  port {}\n</source>\n\n"
      "<source>\n  @type prometheus\n  bind 0.0.0.0\n  port {}\n  metrics_path /metrics\n</source>\n\n"
      "<source>\n  @type prometheus_output_monitor\n</source>\n",
      kForward, kMetrics);
}

// One file a day, packed, written every minute and closed ten minutes after the day. The buffer is on the
// volume: nothing is lost when fluentd is restarted, and it never fills the volume.
std::string output(const std::string& path, bool packed) {
  std::string out = fmt::format("<match **>\n  @type file\n  @id files\n  path {}\n  append true\n", path);
  if (packed) out += "  compress gzip\n";
  out += fmt::format(
      "  <format>\n    @type json\n  </format>\n"
      "  <inject>\n    time_key time\n    time_type string\n    time_format %Y-%m-%dT%H:%M:%S.%NZ\n"
      "    tag_key tag\n  </inject>\n"
      "  <buffer time>\n    @type file\n    path {}/buffer\n    timekey 1d\n    timekey_wait 10m\n"
      "    timekey_use_utc true\n    flush_mode interval\n    flush_interval 60s\n    chunk_limit_size 64m\n "
      "   total_limit_size 4g\n"
      "    overflow_action drop_oldest_chunk\n  </buffer>\n</match>\n",
      kFolder);
  return out;
}

Json fluentd_values(const Context& context, const std::string& path, bool packed) {
  const spec::Reader logs = context.component("logs");
  Json out{{"fullnameOverride", "fluentd"}};
  // A volume of its own needs a StatefulSet: the DaemonSet of the chart mounts one that it does not have.
  out["kind"] = "StatefulSet";
  out["replicaCount"] = 1;
  out["mountVarLogDirectory"] = false;
  out["mountDockerContainersDirectory"] = false;
  Json volume{{"enabled", true}, {"accessMode", "ReadWriteOnce"}, {"size", logs.text("storage.size")}};
  if (const std::string c = storage_class(context, logs); !c.empty()) volume["storageClass"] = c;
  out["persistence"] = std::move(volume);
  out["podSecurityPolicy"] = {{"enabled", false}};
  out["podSecurityContext"] = {{"runAsNonRoot", true},
                               {"runAsUser", kUser},
                               {"runAsGroup", kUser},
                               {"fsGroup", kUser},
                               {"seccompProfile", {{"type", "RuntimeDefault"}}}};
  out["securityContext"] = {{"allowPrivilegeEscalation", false},
                            {"readOnlyRootFilesystem", true},
                            {"capabilities", {{"drop", Json::array({"ALL"})}}}};
  out["volumes"] = Json::array({{{"name", "tmp"}, {"emptyDir", {{"sizeLimit", "64Mi"}}}}});
  out["volumeMounts"] = Json::array({{{"name", "tmp"}, {"mountPath", "/tmp"}}});
  out["service"] = {
      {"ports", Json::array({{{"name", "forward"}, {"protocol", "TCP"}, {"containerPort", kForward}}})}};
  out["metrics"] = {{"serviceMonitor", {{"enabled", stack(context)}}}};
  out["dashboards"] = {{"enabled", "false"}};
  out["resources"] = to_json(context.size("logs", "fluentd"));
  // All files of the chart are replaced: its own send to an Elasticsearch that is not there.
  out["fileConfigs"] = {{"01_sources.conf", sources()},
                        {"02_filters.conf", ""},
                        {"03_dispatch.conf", ""},
                        {"04_outputs.conf", output(path, packed)}};
  place(out, context.add_on_placement());
  return out;
}

Json sweeper(const Context& context, const std::string& path, int days) {
  Container c{.name = "sweeper", .image = catalog::image("busybox")};
  const std::size_t slash = path.rfind('/');
  c.command = {"find",      path.substr(0, slash),
               "-maxdepth", "1",
               "-type",     "f",
               "-name",     path.substr(slash + 1) + ".*",
               "-mmin",     fmt::format("+{}", days * 24 * 60),
               "-print",    "-delete"};
  c.resources = context.size("logs", "sweeper");
  c.mounts = {{"logs", kFolder}};
  Pod pod;
  pod.containers = {std::move(c)};
  pod.user = pod.group = kUser;
  pod.restart_policy = "Never";
  pod.volumes = {volume_claim("logs", "fluentd-buffer-fluentd-0")};
  pod.placement = context.add_on_placement();
  return cron_job("fluentd-sweeper", kNs, "17 4 * * *", pod);
}

// Below the volume of the aggregator; the default is the volume itself and gets a name.
std::string file_path(const Context& context) {
  const spec::Reader logs = context.component("logs");
  std::string path = logs.text("path");
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  if (path == kFolder) return kFolder + "/all";
  if (path.starts_with(kFolder + "/")) return path;
  context.refuse("bad_path", logs.at("path"), logs.where("path"),
                 fmt::format("{} is not on the volume of the logs", path),
                 fmt::format("write a path below {}", kFolder));
  return kFolder + "/all";
}

}  // namespace

void add_fluent_bit(const Context& context, Part& part, const std::string& output, const Edge& to) {
  Json config = Json::object();
  config["service"] =
      "[SERVICE]\n    Daemon Off\n    Flush 5\n    Log_Level warn\n    Parsers_File "
      "/fluent-bit/etc/parsers.conf\n"
      "    HTTP_Server On\n    HTTP_Listen 0.0.0.0\n    HTTP_Port 2020\n    Health_Check On\n"
      "    storage.path /var/lib/fluent-bit/chunks\n    storage.max_chunks_up 32\n";
  config["inputs"] =
      "[INPUT]\n    Name tail\n    Path /var/log/containers/*.log\n    multiline.parser cri\n    Tag kube.*\n"
      "    DB /var/lib/fluent-bit/pods.db\n    Mem_Buf_Limit 8MB\n    Skip_Long_Lines On\n"
      "    storage.type filesystem\n";
  if (context.site() == Site::machines || context.site() == Site::k3s) {
    config["inputs"] = config["inputs"].get<std::string>() +
                       "\n[INPUT]\n    Name tail\n    Path /var/log/kubernetes/audit/*.log\n    Tag audit\n"
                       "    DB /var/lib/fluent-bit/audit.db\n    Mem_Buf_Limit 4MB\n"
                       "\n[INPUT]\n    Name systemd\n    Path /var/log/journal\n    Tag host.*\n"
                       "    Systemd_Filter _SYSTEMD_UNIT=kubelet.service\n"
                       "    Systemd_Filter _SYSTEMD_UNIT=containerd.service\n"
                       "    Systemd_Filter _SYSTEMD_UNIT=k3s.service\n"
                       "    Systemd_Filter _SYSTEMD_UNIT=ssh.service\n    DB /var/lib/fluent-bit/journal.db\n"
                       "    Read_From_Tail On\n";
  }
  config["filters"] =
      "[FILTER]\n    Name kubernetes\n    Match kube.*\n    Merge_Log On\n    Keep_Log Off\n"
      "    K8S-Logging.Parser On\n    K8S-Logging.Exclude On\n    Labels On\n    Annotations Off\n"
      "    Buffer_Size 0\n";
  config["outputs"] = output;
  Json values{{"fullnameOverride", "fluent-bit"}, {"kind", "DaemonSet"}, {"config", std::move(config)}};
  values["testFramework"] = {{"enabled", false}};
  values["tolerations"] = Json::array({{{"operator", "Exists"}}});
  values["resources"] = to_json(context.size("logs", "fluent-bit"));
  // Log files belong to root.
  values["securityContext"] = {{"runAsUser", 0},
                               {"allowPrivilegeEscalation", false},
                               {"readOnlyRootFilesystem", true},
                               {"capabilities", {{"drop", Json::array({"ALL"})}}},
                               {"seccompProfile", {{"type", "RuntimeDefault"}}}};
  values["daemonSetVolumes"] =
      Json::array({{{"name", "varlog"}, {"hostPath", {{"path", "/var/log"}}}},
                   {{"name", "positions"},
                    {"hostPath", {{"path", "/var/lib/fluent-bit"}, {"type", "DirectoryOrCreate"}}}}});
  values["daemonSetVolumeMounts"] =
      Json::array({{{"name", "varlog"}, {"mountPath", "/var/log"}, {"readOnly", true}},
                   {{"name", "positions"}, {"mountPath", "/var/lib/fluent-bit"}}});
  values["serviceMonitor"] = {{"enabled", stack(context)}};
  const Peer self = Peer::pods(kCollectors, {{"app.kubernetes.io/name", "fluent-bit"}});
  part.releases.push_back(
      {.chart = "fluent-bit", .release = "fluent-bit", .ns = kCollectors, .values = std::move(values)});
  part.edges.push_back(
      {.from = self, .to = Peer::api_server(), .ports = {}, .why = "asks for the labels of pods"});
  Edge edge = to;
  edge.from = self;
  part.edges.push_back(std::move(edge));
  if (stack(context))
    part.edges.push_back(
        {.from = prometheus_peer(), .to = self, .ports = {{"http", 2020}}, .why = "scrapes metrics"});
}

void add_log_files(const Context& context, Part& part) {
  const spec::Reader logs = context.component("logs");
  const std::string path = file_path(context);
  const int days = retention_days(context);
  if (logs.text("collector") != "fluentd" && logs.has("collector"))
    context.refuse("wrong_collector", logs.at("collector"), logs.where("collector"),
                   "files are written by fluentd", "collector: fluentd, or use: loki");
  const bool packed = logs.text("compress") == "gzip";
  const Peer fluentd = Peer::pods(kNs, {{"app.kubernetes.io/name", "fluentd"}});
  part.releases.push_back(
      {.chart = "fluentd", .release = "fluentd", .ns = kNs, .values = fluentd_values(context, path, packed)});
  add_fluent_bit(context, part,
                 fmt::format("[OUTPUT]\n    Name forward\n    Match *\n    Host fluentd.{}.svc\n    Port {}\n"
                             "    Require_ack_response On\n    Retry_Limit False\n",
                             kNs, kForward),
                 {.from = {}, .to = fluentd, .ports = {{"forward", kForward}}, .why = "sends logs"});
  part.add("sweeper.yaml", sweeper(context, path, days));
  if (stack(context)) {
    part.edges.push_back({.from = prometheus_peer(),
                          .to = fluentd,
                          .ports = {{"metrics", kMetrics}},
                          .why = "scrapes metrics"});
    part.alerts.push_back(
        {.name = "LogsNotWritten",
         .expr = "sum(increase(fluentd_output_status_num_errors[15m])) > 0",
         .duration = "15m",
         .severity = "warning",
         .summary = "fluentd cannot write logs",
         .description = "It tries again and again; its volume is full or gone.",
         .action = "`kubectl -n logging logs fluentd-0`; `kubectl -n logging exec fluentd-0 -- df -h "
                   "/var/log/fluent`.",
         .input = {{"fluentd_output_status_num_errors{plugin_id=\"files\",type=\"file\"}", "0+1x40"}},
         .quiet = "14m",
         .fires = "17m"});
  }
  part.sections.push_back(
      {.chapter = Section::Chapter::troubleshooting,
       .title = "Looking into logs",
       .text = fmt::format("`kubectl -n logging exec fluentd-0 -- ls -l {0}` shows a file a day. `kubectl -n "
                           "logging exec fluentd-0 -- sh -c 'zcat -f {1}.*' | grep WORD` "
                           "searches. What a program writes now: `kubectl logs`. Files older than {2} days "
                           "are removed at 04:17.",
                           path.substr(0, path.rfind('/')), path, days)});
}

}  // namespace tg::render::observability
