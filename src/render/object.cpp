#include "render/object.hpp"

#include <fmt/format.h>

namespace tg::render {

namespace {

void put(Json& out, const char* key, Json value) {
  const bool nothing = value.is_string() ? value.get_ref<const std::string&>().empty() : value.empty();
  if (!nothing) out[key] = std::move(value);
}

Json port_json(const Port& port) {
  Json out{{"name", port.name}, {"containerPort", port.number}};
  if (port.protocol != "TCP") out["protocol"] = port.protocol;
  return out;
}

Json probe(int period_seconds, int failures) {
  return {{"periodSeconds", period_seconds}, {"failureThreshold", failures}, {"timeoutSeconds", 5}};
}

Json base_spec(std::string_view app, const Pod& pod, int replicas) {
  return {{"selector", {{"matchLabels", to_json(selector(app))}}},
          {"template", pod_template(app, pod, replicas)}};
}

}  // namespace

Json object(std::string_view api_version, std::string_view kind, std::string_view name, std::string_view ns) {
  Json out{{"apiVersion", api_version}, {"kind", kind}, {"metadata", {{"name", name}}}};
  if (!ns.empty()) out["metadata"]["namespace"] = ns;
  return out;
}

Json to_json(const Labels& labels) {
  Json out = Json::object();
  for (const auto& [key, value] : labels) out[key] = value;
  return out;
}

Json to_json(const Resources& resources) {
  Json out = Json::object();
  put(out, "requests", to_json(resources.requests));
  put(out, "limits", to_json(resources.limits));
  return out;
}

Resources resources(std::string_view cpu_request, std::string_view memory_request, std::string_view cpu_limit,
                    std::string_view memory_limit) {
  Resources out;
  if (!cpu_request.empty()) out.requests.emplace("cpu", cpu_request);
  if (!memory_request.empty()) out.requests.emplace("memory", memory_request);
  if (!cpu_limit.empty()) out.limits.emplace("cpu", cpu_limit);
  if (!memory_limit.empty()) out.limits.emplace("memory", memory_limit);
  return out;
}

Json http_probe(std::string_view path, std::string_view port, int period_seconds, int failures) {
  Json out{{"httpGet", {{"path", path}, {"port", port}}}};
  out.update(probe(period_seconds, failures));
  return out;
}

Json tcp_probe(std::string_view port, int period_seconds, int failures) {
  Json out{{"tcpSocket", {{"port", port}}}};
  out.update(probe(period_seconds, failures));
  return out;
}

Json exec_probe(const std::vector<std::string>& command, int period_seconds, int failures) {
  Json out{{"exec", {{"command", command}}}};
  out.update(probe(period_seconds, failures));
  return out;
}

Json env(std::string_view name, std::string_view value) { return {{"name", name}, {"value", value}}; }

Json env_from_secret(std::string_view name, std::string_view secret, std::string_view key) {
  return {{"name", name}, {"valueFrom", {{"secretKeyRef", {{"name", secret}, {"key", key}}}}}};
}

Json env_from_field(std::string_view name, std::string_view field) {
  return {{"name", name}, {"valueFrom", {{"fieldRef", {{"fieldPath", field}}}}}};
}

Json to_json(const Container& c) {
  Json out{{"name", c.name}, {"image", c.image}, {"imagePullPolicy", c.pull_policy}};
  put(out, "command", c.command);
  put(out, "args", c.args);
  Json ports = Json::array();
  for (const Port& p : c.ports) ports.push_back(port_json(p));
  put(out, "ports", std::move(ports));
  put(out, "env", Json(c.env));
  put(out, "envFrom", c.env_from);
  put(out, "resources", to_json(c.resources));
  put(out, "startupProbe", c.startup);
  put(out, "readinessProbe", c.readiness);
  put(out, "livenessProbe", c.liveness);
  Json capabilities{{"drop", {"ALL"}}};
  put(capabilities, "add", c.capabilities);
  Json security{{"allowPrivilegeEscalation", false},
                {"readOnlyRootFilesystem", !c.writable_root},
                {"capabilities", std::move(capabilities)}};
  if (c.run_as_root.value_or(false)) {
    security["runAsUser"] = 0;
    security["runAsNonRoot"] = false;
  }
  out["securityContext"] = std::move(security);
  Json mounts = Json::array();
  for (const Mount& m : c.mounts) {
    Json mount{{"name", m.volume}, {"mountPath", m.path}};
    if (!m.sub_path.empty()) mount["subPath"] = m.sub_path;
    if (m.read_only) mount["readOnly"] = true;
    mounts.push_back(std::move(mount));
  }
  put(out, "volumeMounts", std::move(mounts));
  return out;
}

Json toleration(std::string_view taint) {
  const std::size_t colon = taint.rfind(':');
  const std::string_view effect =
      colon == std::string_view::npos ? std::string_view{} : taint.substr(colon + 1);
  const std::string_view pair = taint.substr(0, colon);
  const std::size_t equals = pair.find('=');
  Json out{{"key", pair.substr(0, equals)}};
  if (equals == std::string_view::npos) {
    out["operator"] = "Exists";
  } else {
    out["operator"] = "Equal";
    out["value"] = pair.substr(equals + 1);
  }
  if (!effect.empty()) out["effect"] = effect;
  return out;
}

Json pod_template(std::string_view app, const Pod& pod, int replicas) {
  Labels labels = pod.labels;
  for (const auto& [key, value] : selector(app)) labels.insert_or_assign(key, value);
  Json metadata{{"labels", to_json(labels)}};
  put(metadata, "annotations", to_json(pod.annotations));
  Json spec = Json::object();
  put(spec, "serviceAccountName", pod.service_account);
  spec["automountServiceAccountToken"] = pod.api_token;
  put(spec, "priorityClassName", pod.priority_class);
  if (pod.grace_seconds) spec["terminationGracePeriodSeconds"] = *pod.grace_seconds;
  put(spec, "restartPolicy", pod.restart_policy);
  put(spec, "nodeSelector", to_json(pod.placement.node_selector));
  put(spec, "tolerations", Json(pod.placement.tolerations));
  if (pod.placement.spread && (replicas > 1 || replicas < 0)) {
    // Zones first: a zone that is gone takes at most its share. Never a reason not to start.
    for (const char* key : {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}) {
      spec["topologySpreadConstraints"].push_back(
          {{"maxSkew", 1},
           {"topologyKey", key},
           {"whenUnsatisfiable", "ScheduleAnyway"},
           {"labelSelector", {{"matchLabels", to_json(selector(app))}}}});
    }
  }
  spec["securityContext"] = {{"runAsNonRoot", true},
                             {"runAsUser", pod.user},
                             {"runAsGroup", pod.group},
                             {"fsGroup", pod.group},
                             {"fsGroupChangePolicy", "OnRootMismatch"},
                             {"seccompProfile", {{"type", "RuntimeDefault"}}}};
  for (const Container& c : pod.init) spec["initContainers"].push_back(to_json(c));
  for (const Container& c : pod.containers) spec["containers"].push_back(to_json(c));
  put(spec, "volumes", Json(pod.volumes));
  return {{"metadata", std::move(metadata)}, {"spec", std::move(spec)}};
}

Json volume_config(std::string_view name, std::string_view config_map) {
  return {{"name", name}, {"configMap", {{"name", config_map}}}};
}

Json volume_secret(std::string_view name, std::string_view secret) {
  return {{"name", name}, {"secret", {{"secretName", secret}, {"defaultMode", 0440}}}};
}

Json volume_claim(std::string_view name, std::string_view claim) {
  return {{"name", name}, {"persistentVolumeClaim", {{"claimName", claim}}}};
}

Json volume_scratch(std::string_view name, std::string_view size_limit) {
  Json scratch = Json::object();
  if (!size_limit.empty()) scratch["sizeLimit"] = size_limit;
  return {{"name", name}, {"emptyDir", std::move(scratch)}};
}

namespace {

Json claim_spec(std::string_view size, std::string_view storage_class, std::string_view access) {
  Json spec{{"accessModes", {access}}};
  if (!storage_class.empty()) spec["storageClassName"] = storage_class;
  spec["resources"] = {{"requests", {{"storage", size}}}};
  return spec;
}

}  // namespace

Json claim(std::string_view name, std::string_view size, std::string_view storage_class,
           std::string_view access) {
  return {{"metadata", {{"name", name}}}, {"spec", claim_spec(size, storage_class, access)}};
}

Json persistent_volume_claim(std::string_view name, std::string_view ns, std::string_view size,
                             std::string_view storage_class, std::string_view access) {
  Json out = object("v1", "PersistentVolumeClaim", name, ns);
  out["spec"] = claim_spec(size, storage_class, access);
  return out;
}

Json deployment(std::string_view name, std::string_view ns, int replicas, const Pod& pod) {
  Json out = object("apps/v1", "Deployment", name, ns);
  Json spec = Json::object();
  if (replicas >= 0) spec["replicas"] = replicas;
  spec["revisionHistoryLimit"] = 3;
  spec.update(base_spec(name, pod, replicas));
  out["spec"] = std::move(spec);
  return out;
}

Json stateful_set(std::string_view name, std::string_view ns, int replicas, const Pod& pod,
                  std::vector<Json> claims) {
  Json out = object("apps/v1", "StatefulSet", name, ns);
  Json spec{{"replicas", replicas}, {"serviceName", name}, {"revisionHistoryLimit", 3}};
  spec.update(base_spec(name, pod, replicas));
  put(spec, "volumeClaimTemplates", Json(std::move(claims)));
  out["spec"] = std::move(spec);
  return out;
}

Json daemon_set(std::string_view name, std::string_view ns, const Pod& pod) {
  Json out = object("apps/v1", "DaemonSet", name, ns);
  out["spec"] = base_spec(name, pod, 1);
  return out;
}

Json job(std::string_view name, std::string_view ns, const Pod& pod, int retries) {
  Pod once = pod;
  if (once.restart_policy.empty()) once.restart_policy = "Never";
  Json out = object("batch/v1", "Job", name, ns);
  out["spec"] = {{"backoffLimit", retries}, {"template", pod_template(name, once, 1)}};
  return out;
}

Json cron_job(std::string_view name, std::string_view ns, std::string_view schedule, const Pod& pod,
              std::string_view time_zone) {
  Pod once = pod;
  if (once.restart_policy.empty()) once.restart_policy = "Never";
  Json out = object("batch/v1", "CronJob", name, ns);
  Json spec{{"schedule", schedule}};
  if (!time_zone.empty()) spec["timeZone"] = time_zone;
  spec["concurrencyPolicy"] = "Forbid";
  // A controller that was away starts at most this late; without a bound it gives up after a hundred misses.
  spec["startingDeadlineSeconds"] = 3600;
  spec["successfulJobsHistoryLimit"] = 3;
  spec["failedJobsHistoryLimit"] = 3;
  spec["jobTemplate"] = {{"spec", {{"backoffLimit", 3}, {"template", pod_template(name, once, 1)}}}};
  out["spec"] = std::move(spec);
  return out;
}

Json service(std::string_view name, std::string_view ns, const Labels& labels, const std::vector<Port>& ports,
             bool headless) {
  Json out = object("v1", "Service", name, ns);
  Json list = Json::array();
  for (const Port& p : ports) {
    Json port{{"name", p.name}, {"port", p.number}, {"targetPort", p.name}};
    if (p.protocol != "TCP") port["protocol"] = p.protocol;
    list.push_back(std::move(port));
  }
  Json spec = Json::object();
  if (headless) spec["clusterIP"] = "None";
  spec["selector"] = to_json(labels);
  spec["ports"] = std::move(list);
  out["spec"] = std::move(spec);
  return out;
}

Json service_account(std::string_view name, std::string_view ns, const Labels& annotations) {
  Json out = object("v1", "ServiceAccount", name, ns);
  if (!annotations.empty()) out["metadata"]["annotations"] = to_json(annotations);
  out["automountServiceAccountToken"] = false;
  return out;
}

Json disruption_budget(std::string_view name, std::string_view ns, const Labels& labels,
                       int max_unavailable) {
  Json out = object("policy/v1", "PodDisruptionBudget", name, ns);
  out["spec"] = {{"maxUnavailable", max_unavailable},
                 {"selector", {{"matchLabels", to_json(labels)}}},
                 {"unhealthyPodEvictionPolicy", "AlwaysAllow"}};
  return out;
}

Json config_map(std::string_view name, std::string_view ns,
                const std::vector<std::pair<std::string, std::string>>& data) {
  Json out = object("v1", "ConfigMap", name, ns);
  out["data"] = Json::object();
  for (const auto& [key, value] : data) out["data"][key] = value;
  return out;
}

Json role(std::string_view name, std::string_view ns, const std::vector<Rule>& rules) {
  Json out = object("rbac.authorization.k8s.io/v1", ns.empty() ? "ClusterRole" : "Role", name, ns);
  out["rules"] = Json::array();
  for (const Rule& r : rules) {
    Json rule{{"apiGroups", r.groups}, {"resources", r.resources}};
    put(rule, "resourceNames", r.names);
    rule["verbs"] = r.verbs;
    out["rules"].push_back(std::move(rule));
  }
  return out;
}

Json role_binding(std::string_view name, std::string_view ns, std::string_view role_kind,
                  std::string_view role_name, const std::vector<Subject>& subjects) {
  Json out =
      object("rbac.authorization.k8s.io/v1", ns.empty() ? "ClusterRoleBinding" : "RoleBinding", name, ns);
  out["roleRef"] = {{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", role_kind}, {"name", role_name}};
  out["subjects"] = Json::array();
  for (const Subject& s : subjects) {
    Json subject{{"kind", s.kind}, {"name", s.name}};
    if (s.kind == "ServiceAccount") {
      subject["namespace"] = s.ns;
    } else {
      subject["apiGroup"] = "rbac.authorization.k8s.io";
    }
    out["subjects"].push_back(std::move(subject));
  }
  return out;
}

Labels selector(std::string_view app) {
  return {{"app.kubernetes.io/name", std::string(app)}, {"app.kubernetes.io/instance", std::string(app)}};
}

}  // namespace tg::render
