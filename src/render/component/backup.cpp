// Copies outside the platform, and the drill that proves them. A collector: parts say what must survive.
//
// velero: objects of the cluster and volumes, on any cluster. copies: on one small machine an own CronJob for
// each database and volume costs no memory while it sleeps.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "catalog/images.hpp"
#include "render/component/components.hpp"
#include "render/component/identity.hpp"
#include "text/emit.hpp"

namespace tg::render {

namespace {

constexpr const char* kNamespace = "backup";
constexpr const char* kStoreSecret = "backup-store";

// Where copies go, in the words of the S3 API.
struct Store {
  std::string provider;  // velero's plugin: aws, gcp, azure
  std::string bucket, region, endpoint;
  bool path_style = false;
  bool own_keys = false;  // keys in a Secret; else the identity of the pod
  // The authority that signed the store's certificate, when the world does not know it.
  std::optional<spec::SecretRef> ca;
  std::string ca_key() const { return ca && !ca->key.empty() ? ca->key : "ca.crt"; }
};

Store store(const Context& context) {
  const spec::Reader spec = context.spec().sub("backup.store");
  Store out;
  if (spec.has("s3")) {
    out.provider = "aws";
    out.bucket = spec.text("s3.bucket");
    out.region = spec.text("s3.region");
    out.endpoint = spec.text("s3.endpoint");
    out.path_style = spec.flag("s3.pathStyle");
    out.own_keys = true;
    out.ca = spec.secret("s3.ca");
    return out;
  }
  out.provider = context.site() == Site::google ? "gcp" : context.site() == Site::azure ? "azure" : "aws";
  out.bucket = spec.text("bucket");
  if (out.bucket.empty()) out.bucket = context.name() + "-backup";
  out.region = spec.text("region");
  if (context.site() == Site::open_telekom_cloud) {
    // Its object store speaks S3 under an address of its own.
    if (out.region.empty())
      out.region = context.infrastructure().text("region") == "eu-de" ? "eu-nl" : "eu-de";
    out.endpoint = fmt::format("https://obs.{}.otc.t-systems.com", out.region);
    out.own_keys = true;
  }
  return out;
}

// Port of the store: "https://backup.example.com:8333" has one of its own.
int store_port(const Store& s) {
  const std::size_t colon = s.endpoint.rfind(':');
  const bool own = colon != std::string::npos && s.endpoint.find("://") != colon;
  return own ? std::atoi(s.endpoint.substr(colon + 1).c_str()) : 443;
}

// The certificate of the store's authority, beside the keys of the bucket.
void need_store_ca(Part& part, const Store& s, const std::string& ns) {
  if (!s.ca) return;
  part.secrets.push_back({.name = s.ca->name,
                          .ns = ns,
                          .keys = {s.ca_key()},
                          .from = SecretNeed::From::reference,
                          .reference = describe(*s.ca),
                          .why = "trusts the certificate of the backup store"});
}

std::string hours(double seconds) {
  return fmt::format("{}h0m0s", static_cast<std::int64_t>(seconds / 3600));
}

void need_store_keys(Part& part, const Context& context, const std::string& ns) {
  const auto keys = context.spec().secret("backup.store.s3.credentials");
  part.secrets.push_back({.name = kStoreSecret,
                          .ns = ns,
                          .keys = {"cloud", "access-key", "secret-key"},
                          .from = SecretNeed::From::reference,
                          .reference = keys ? describe(*keys) : "keys of the bucket",
                          .why = "writes to the bucket of the backups",
                          // A credentials file as AWS's tools read it, for velero.
                          .values = {{"cloud",
                                      "[default]\naws_access_key_id=${access-key}\n"
                                      "aws_secret_access_key=${secret-key}\n"}}});
}

// --- velero
// ----------------------------------------------------------------------------------------------------------

// Where a store of the cloud is, and as whom it is asked: by identity, never by a key.
Json store_config(const Context& context, const Store& s) {
  const spec::Reader site = context.infrastructure();
  if (s.provider == "gcp") return {{"serviceAccount", "output:backup_account"}};
  Json out = Json::object();
  if (s.provider != "azure") return out;
  std::string group = site.text("resourceGroup");
  out["resourceGroup"] = group.empty() ? context.name() : group;
  out["storageAccount"] = "output:backup_bucket";
  out["storageAccountURI"] = "output:backup_url";
  out["useAAD"] = "true";
  return out;
}

Json location(const Context& context, const Store& s) {
  Json out{{"name", "default"}, {"provider", s.provider}, {"bucket", s.bucket}, {"default", true}};
  Json config = store_config(context, s);
  if (!s.region.empty() && s.provider == "aws") config["region"] = s.region;
  if (!s.endpoint.empty()) {
    config["s3Url"] = s.endpoint;
    config["s3ForcePathStyle"] = s.path_style ? "true" : "false";
    // Stores that are not Amazon's refuse its newer checksums.
    config["checksumAlgorithm"] = "";
  }
  if (!config.empty()) out["config"] = std::move(config);
  if (s.own_keys) out["credential"] = {{"name", kStoreSecret}, {"key", "cloud"}};
  return out;
}

// The chart knows no reference to the certificate of an authority, and whatever reads or writes volumes takes
// it from nowhere else than the location: then the location is an object of ours.
Json location_object(const Context& context, const Store& s) {
  Json from = location(context, s);
  Json out = object("velero.io/v1", "BackupStorageLocation", "default", kNamespace);
  Json& spec = out["spec"] = {{"provider", from["provider"]}, {"default", true}};
  spec["objectStorage"] = {{"bucket", from["bucket"]},
                           {"caCertRef", {{"name", s.ca->name}, {"key", s.ca_key()}}}};
  if (from.contains("config")) spec["config"] = from["config"];
  if (from.contains("credential")) spec["credential"] = from["credential"];
  return out;
}

std::string plugin(const std::string& provider) {
  if (provider == "gcp") return "velero-plugin-for-gcp";
  if (provider == "azure") return "velero-plugin-for-microsoft-azure";
  return "velero-plugin-for-aws";
}

// Its pods act as an identity of the cloud.
void add_identity(Json& values, const Store& s) {
  Json& account = values["serviceAccount"]["server"];
  if (s.provider == "gcp")
    account["annotations"] = {{"iam.gke.io/gcp-service-account", "output:backup_account"}};
  if (s.provider != "azure") return;
  account["annotations"] = {{"azure.workload.identity/client-id", "output:backup_client_id"}};
  values["podLabels"] = {{"azure.workload.identity/use", "true"}};
  values["nodeAgent"]["podLabels"] = {{"azure.workload.identity/use", "true"}};
}

constexpr const char* kAgentConfig = "node-agent-config";
constexpr const char* kVolumePolicies = "volume-policies";

// A snapshot is read through a volume that is made of it for a while: it need not be of the fast class that
// it was taken of. What no driver takes snapshots of is read file by file.
void add_snapshot_rules(Part& part, const Context& context) {
  const std::string inside = context.spec().text("backup.class");
  Json volumes = Json::object(), by_files = Json::array();
  for (const auto& [name, c] : context.spec().named("storage.classes")) {
    const std::string kind = c.text("kind");
    if (kind == "shared" || kind == "local") {
      by_files.push_back(name);
    } else if (!inside.empty() && name != inside) {
      volumes[name] = {{"storageClass", inside}};
    }
  }
  Json agent{{"loadConcurrency", {{"globalConfig", 1}}}};
  if (!volumes.empty()) agent["backupPVC"] = std::move(volumes);
  part.add("volumes.yaml",
           config_map(kAgentConfig, kNamespace, {{"node-agent-config.json", agent.dump(2) + "\n"}}));
  if (by_files.empty()) return;
  Json rule{{"conditions", {{"storageClass", std::move(by_files)}}}, {"action", {{"type", "fs-backup"}}}};
  const Json policies{{"version", "v1"}, {"volumePolicies", Json::array({std::move(rule)})}};
  part.add("volumes.yaml",
           config_map(kVolumePolicies, kNamespace, {{"policies.yaml", text::emit_yaml(policies)}}));
}

bool any_by_files(const Context& context) {
  const auto all = context.spec().named("storage.classes");
  return std::any_of(all.begin(), all.end(), [](const auto& c) {
    const std::string kind = c.second.text("kind");
    return kind == "shared" || kind == "local";
  });
}

Json velero_values(const Context& context, const Store& s) {
  const spec::Reader spec = context.spec().sub("backup");
  const std::string volumes = spec.text("volumes");
  const std::string image = plugin(s.provider);
  Json out = Json::object();
  Json locations = Json::array();
  if (!s.ca) locations.push_back(location(context, s));
  out["backupsEnabled"] = !s.ca;
  Json configuration{{"backupStorageLocation", std::move(locations)},
                     {"uploaderType", "kopia"},
                     {"defaultVolumesToFsBackup", volumes == "fileSystem"},
                     {"defaultBackupTTL", hours(spec.seconds("keep"))}};
  if (volumes == "snapshots") {
    configuration["features"] = "EnableCSI";
    configuration["defaultSnapshotMoveData"] = true;
  }
  configuration["volumeSnapshotLocation"] = Json::array();
  out["configuration"] = std::move(configuration);
  out["snapshotsEnabled"] =
      false;  // volumes go as files or as data of snapshots, never as a provider's snapshot
  out["initContainers"] =
      Json::array({{{"name", image},
                    {"image", catalog::image(image)},
                    {"imagePullPolicy", "IfNotPresent"},
                    {"volumeMounts", Json::array({{{"mountPath", "/target"}, {"name", "plugins"}}})}}});
  out["credentials"] =
      s.own_keys ? Json{{"useSecret", true}, {"existingSecret", kStoreSecret}} : Json{{"useSecret", false}};
  out["deployNodeAgent"] = volumes != "none";
  out["nodeAgent"] = {{"resources", to_json(context.size("backup", "node-agent"))}};
  if (volumes == "snapshots")
    out["nodeAgent"]["extraArgs"] = Json::array({fmt::format("--node-agent-configmap={}", kAgentConfig)});
  // Data lies on tainted nodes too.
  out["nodeAgent"]["tolerations"] = Json::array({{{"operator", "Exists"}}});
  out["resources"] = to_json(context.size("backup", "velero"));
  if (s.provider == "gcp" || s.provider == "azure") add_identity(out, s);
  const Placement where = context.add_on_placement();
  if (!where.node_selector.empty()) out["nodeSelector"] = to_json(where.node_selector);
  if (!where.tolerations.empty()) out["tolerations"] = where.tolerations;
  if (context.has("metrics")) out["metrics"] = {{"serviceMonitor", {{"enabled", true}}}};
  out["schedules"] = {{"daily",
                       {{"disabled", false},
                        {"schedule", spec.text("schedule")},
                        {"useOwnerReferencesInBackup", false},
                        {"template",
                         {{"ttl", hours(spec.seconds("keep"))},
                          {"includedNamespaces", Json::array({"*"})},
                          {"storageLocation", "default"}}}}}};
  if (volumes == "snapshots" && any_by_files(context))
    out["schedules"]["daily"]["template"]["resourcePolicy"] = {{"kind", "configmap"},
                                                               {"name", kVolumePolicies}};
  return out;
}

void add_velero_alerts(Part& part) {
  part.alerts.push_back(
      {.name = "BackupTooOld",
       .expr = "time() - velero_backup_last_successful_timestamp{schedule!=\"\"} > 2 * 86400",
       .duration = "15m",
       .severity = "critical",
       .summary = "The last good backup of {{ $labels.schedule }} is older than two days",
       .description = "A loss now would cost more than two days of changes.",
       .action = "velero -n backup backup get; velero -n backup backup describe NAME --details",
       .input = {{"velero_backup_last_successful_timestamp{schedule=\"velero-daily\"}", "0x6000"}},
       .quiet = "1d",
       .fires = "3d",
       .expected = {{"schedule", "velero-daily"}}});
}

std::string drill_schedule(const std::string& how_often) {
  if (how_often == "weekly") return "0 5 * * 1";
  if (how_often == "quarterly") return "0 5 1 1,4,7,10 *";
  return "0 5 1 * *";
}

// The drill restores one namespace of the newest backup under another name, looks whether it is complete, and
// removes it. It never touches the original.
std::string drill_script(const std::string& ns) {
  const std::string lines[] = {
      "set -eu",
      "backup=$(kubectl get backups.velero.io -n backup -l velero.io/schedule-name=velero-daily \\",
      "  -o jsonpath='{range .items[?(@.status.phase==\"Completed\")]}{.metadata.creationTimestamp}{\" \"}"
      "{.metadata.name}{\"\\n\"}{end}' | sort | tail -n 1 | cut -d' ' -f2)",
      "test -n \"$backup\" || { echo 'there is no completed backup' >&2; exit 1; }",
      "restore=drill-$(date +%Y%m%d%H%M)",
      "kubectl create -f - <<MANIFEST",
      "{\"apiVersion\":\"velero.io/"
      "v1\",\"kind\":\"Restore\",\"metadata\":{\"name\":\"$restore\",\"namespace\":\"backup\"},",
      fmt::format("\"spec\":{{\"backupName\":\"$backup\",\"includedNamespaces\":[\"{0}\"],"
                  "\"namespaceMapping\":{{\"{0}\":\"{0}-drill\"}}}}}}",
                  ns),
      "MANIFEST",
      "for _ in $(seq 120); do",
      "  phase=$(kubectl get restores.velero.io -n backup \"$restore\" -o jsonpath='{.status.phase}')",
      "  case $phase in",
      fmt::format("    Completed) kubectl get all,pvc -n {0}-drill; kubectl delete namespace {0}-drill "
                  "--wait=false; exit 0 ;;",
                  ns),
      "    Failed|PartiallyFailed|FailedValidation) echo \"restore $restore: $phase\" >&2; exit 1 ;;",
      "  esac",
      "  sleep 15",
      "done",
      "echo \"restore $restore did not end\" >&2",
      "exit 1"};
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

void add_drill(Part& part, const Context& context, const std::string& ns) {
  const std::string how_often = context.spec().text("backup.drill");
  if (how_often == "none" || ns.empty()) return;
  const std::string account = "restore-drill";
  part.add("drill.yaml", config_map(account, kNamespace, {{"drill.sh", drill_script(ns)}}));
  part.add("drill.yaml", service_account(account, kNamespace));
  part.add("drill.yaml", role(account, kNamespace,
                              {{{"velero.io"}, {"backups"}, {"get", "list"}},
                               {{"velero.io"}, {"restores"}, {"create", "get"}}}));
  part.add("drill.yaml",
           role_binding(account, kNamespace, "Role", account, {{"ServiceAccount", account, kNamespace}}));
  // Looks at the restored namespace and removes it, that one and no other.
  part.add("drill.yaml", role(account, "", {{{""}, {"namespaces"}, {"get", "delete"}, {ns + "-drill"}}}));
  part.add("drill.yaml",
           role_binding(account, "", "ClusterRole", account, {{"ServiceAccount", account, kNamespace}}));
  part.add("drill.yaml", role_binding(account + "-view", "", "ClusterRole", "view",
                                      {{"ServiceAccount", account, kNamespace}}));
  Pod pod;
  Container c{.name = "drill", .image = catalog::image("kubectl")};
  c.command = {"sh", "/drill/drill.sh"};
  c.resources = context.size("backup", "copy");
  c.mounts = {{"script", "/drill", true}, {"tmp", "/tmp"}};
  pod.containers = {std::move(c)};
  pod.volumes = {volume_config("script", account), volume_scratch("tmp", "16Mi")};
  pod.service_account = account;
  pod.api_token = true;
  pod.placement = context.add_on_placement();
  part.add("drill.yaml", cron_job(account, kNamespace, drill_schedule(how_often), pod));
  part.edges.push_back({.from = Peer::pods(kNamespace, selector(account)),
                        .to = Peer::api_server(),
                        .why = "tries a restore"});
}

// One namespace with data, for the drill: the first that keeps something.
std::string drill_namespace(const std::vector<Part>& parts) {
  for (const Part& p : parts) {
    if (!p.keeps.empty()) return p.keeps.front().ns;
  }
  for (const Part& p : parts) {
    if (p.where == Where::workload && !p.namespaces.empty()) return p.namespaces.front().name;
  }
  return {};
}

// The namespaces of what is the platform's own: programs and their data.
std::string own_namespaces(const std::vector<Part>& parts) {
  std::set<std::string> names;
  for (const Part& p : parts) {
    for (const Keep& k : p.keeps) names.insert(k.ns);
    if (p.where != Where::workload) continue;
    for (const Namespace& n : p.namespaces) names.insert(n.name);
  }
  return fmt::format("{}", fmt::join(names, ","));
}

Part velero(const Context& context, const std::vector<Part>& parts) {
  const Store s = store(context);
  Part part = component("backup");
  part.after = {"namespaces", "network-policies", "storage"};
  part.namespaces.push_back(
      {.name = kNamespace, .level = Level::privileged, .reason = "the node agent reads volumes on the host"});
  if (s.own_keys) need_store_keys(part, context, kNamespace);
  // Without one of its own velero locks every copy with a password that the whole world knows.
  part.secrets.push_back({.name = "velero-repo-credentials",
                          .ns = kNamespace,
                          .keys = {"repository-password"},
                          .why = "locks the copies of volumes; keep one outside the cluster"});
  need_store_ca(part, s, kNamespace);
  if (s.ca) part.add("location.yaml", location_object(context, s));
  Json values = velero_values(context, s);
  if (context.spec().text("backup.volumes") == "snapshots") add_snapshot_rules(part, context);
  part.releases.push_back(
      {.chart = "velero", .release = "velero", .ns = kNamespace, .values = std::move(values)});
  const Labels pods{{"app.kubernetes.io/name", "velero"}};
  // It makes pods of its own for each volume and for the care of the store.
  part.edges.push_back(
      {.from = Peer::pods(kNamespace), .to = Peer::api_server(), .why = "reads what it copies"});
  part.edges.push_back({.from = Peer::pods(kNamespace),
                        .to = Peer::everywhere(),
                        .ports = {{"https", store_port(s)}},
                        .why = "writes to the bucket of the backups"});
  if (!s.own_keys) add_identity_edge(part, context, Peer::pods(kNamespace, pods));
  if (context.has("metrics")) {
    part.edges.push_back({.from = prometheus_peer(),
                          .to = Peer::pods(kNamespace, pods),
                          .ports = {{"metrics", 8085}},
                          .why = "scrapes metrics"});
    add_velero_alerts(part);
  }
  const std::string ns = drill_namespace(parts);
  add_drill(part, context, ns);
  part.sections.push_back(
      {Section::Chapter::backup, "Now",
       fmt::format("velero -n {} backup create test-backup --include-namespaces {} --wait\n", kNamespace,
                   own_namespaces(parts))});
  part.sections.push_back(
      {Section::Chapter::restore, "The password of the copies",
       fmt::format("Copies of volumes open only with the password that was made with this cluster. Keep it "
                   "where the platform's other keys are kept, and put it there again before a restore into a "
                   "new cluster:\n\n```sh\nkubectl -n {} get secret velero-repo-credentials -o "
                   "go-template='{{{{index .data \"repository-password\" | base64decode}}}}'\n```\n",
                   kNamespace)});
  part.sections.push_back(
      {Section::Chapter::restore, "By hand",
       fmt::format("velero -n {1} backup get\n"
                   "velero -n {1} restore create --from-backup test-backup --include-namespaces {0} "
                   "--namespace-mappings {0}:{0}-drill --wait\n"
                   "kubectl get all,pvc -n {0}-drill\nkubectl delete namespace {0}-drill\n",
                   ns, kNamespace)});
  return part;
}

// --- copies
// ----------------------------------------------------------------------------------------------------------

std::vector<Json> rclone_env(const Store& s) {
  std::vector<Json> out{env("RCLONE_CONFIG_STORE_TYPE", "s3"),
                        env("RCLONE_CONFIG_STORE_PROVIDER", s.endpoint.empty() ? "AWS" : "Other"),
                        env("RCLONE_CONFIG_STORE_ENDPOINT", s.endpoint),
                        env("RCLONE_CONFIG_STORE_REGION", s.region),
                        env("RCLONE_CONFIG_STORE_FORCE_PATH_STYLE", s.path_style ? "true" : "false"),
                        env_from_secret("RCLONE_CONFIG_STORE_ACCESS_KEY_ID", kStoreSecret, "access-key"),
                        env_from_secret("RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY", kStoreSecret, "secret-key"),
                        env("RCLONE_CONFIG", "/tmp/rclone.conf")};
  if (s.ca) out.push_back(env("RCLONE_CA_CERT", "/etc/backup-ca/" + s.ca_key()));
  return out;
}

Container upload(const Context& context, const Store& s, const Keep& keep, const std::string& age) {
  const std::string target = fmt::format("store:{}/{}/{}", s.bucket, keep.ns, keep.name);
  Container c{.name = "upload", .image = catalog::image("rclone")};
  c.command = {"sh", "-c"};
  c.args = {fmt::format(
      "set -eu; rclone copy --no-traverse /copy {0}/$(date +%Y-%m-%d); rclone delete --min-age {1} {0}",
      target, age)};
  c.env = rclone_env(s);
  c.resources = context.size("backup", "copy");
  c.mounts = {{"copy", "/copy", true}, {"tmp", "/tmp"}};
  if (s.ca) c.mounts.push_back({"backup-ca", "/etc/backup-ca", true});
  return c;
}

void add_copy(Part& part, const Context& context, const Store& s, const Keep& keep) {
  const spec::Reader spec = context.spec().sub("backup");
  const std::string age = fmt::format("{}h", static_cast<std::int64_t>(spec.seconds("keep") / 3600));
  const std::string name = "backup-" + keep.name;
  Pod pod;
  pod.user = pod.group = keep.user;
  pod.volumes = {volume_scratch("tmp", "64Mi")};
  if (s.ca) pod.volumes.push_back(volume_secret("backup-ca", s.ca->name));
  if (keep.kind == Keep::Kind::postgresql) {
    pod.user = pod.group = 999;
    Container dump{.name = "dump", .image = catalog::image("postgresql")};
    dump.command = {"sh", "-c"};
    dump.args = {
        fmt::format("exec pg_dump --host {} --format custom --file /copy/{}.dump", keep.name, keep.name)};
    dump.env = {env_from_secret("PGUSER", keep.secret, "username"),
                env_from_secret("PGPASSWORD", keep.secret, "password"),
                env_from_secret("PGDATABASE", keep.secret, "database")};
    dump.resources = context.size("backup", "copy");
    dump.mounts = {{"copy", "/copy"}, {"tmp", "/tmp"}};
    pod.init = {std::move(dump)};
    pod.volumes.push_back(volume_scratch("copy", "2Gi"));
    part.edges.push_back({.from = Peer::pods(keep.ns, selector(name)),
                          .to = Peer::pods(keep.ns, selector(keep.name)),
                          .ports = {{"postgresql", 5432}},
                          .why = "dumps the database"});
  } else {
    pod.volumes.push_back(volume_claim("copy", keep.name));
  }
  pod.containers = {upload(context, s, keep, age)};
  part.add("copies.yaml", cron_job(name, keep.ns, spec.text("schedule"), pod));
  part.edges.push_back({.from = Peer::pods(keep.ns, selector(name)),
                        .to = Peer::everywhere(),
                        .ports = {{"https", store_port(s)}},
                        .why = "writes to the bucket of the backups"});
}

std::string restore_text(const Store& s, const Keep& keep) {
  if (keep.kind == Keep::Kind::postgresql) {
    return fmt::format(
        "kubectl -n {0} create job --from=cronjob/backup-{1} backup-{1}-now\n"
        "rclone copy store:{2}/{0}/{1}/DATE/{1}.dump .\n"
        "kubectl -n {0} exec -i statefulset/{1} -- sh -c 'createdb -U \"$POSTGRES_USER\" drill'\n"
        "kubectl -n {0} exec -i statefulset/{1} -- sh -c 'pg_restore -U \"$POSTGRES_USER\" -d drill' "
        "<{1}.dump\n"
        "kubectl -n {0} exec -i statefulset/{1} -- sh -c 'dropdb -U \"$POSTGRES_USER\" drill'\n",
        keep.ns, keep.name, s.bucket);
  }
  return fmt::format("kubectl -n {0} get pvc {1}\nrclone ls store:{2}/{0}/{1}\n", keep.ns, keep.name,
                     s.bucket);
}

Part copies(const Context& context, const std::vector<Part>& parts) {
  const Store s = store(context);
  Part part = component("backup");
  part.after = {"namespaces", "network-policies"};
  std::set<std::string> namespaces;
  for (const Part& p : parts) {
    for (const Keep& keep : p.keeps) {
      add_copy(part, context, s, keep);
      if (namespaces.insert(keep.ns).second) {
        need_store_keys(part, context, keep.ns);
        need_store_ca(part, s, keep.ns);
      }
      part.sections.push_back({Section::Chapter::restore, keep.ns + "/" + keep.name, restore_text(s, keep)});
    }
  }
  part.sections.push_back(
      {Section::Chapter::backup, "What is copied",
       fmt::format("Databases and volumes go to {}/{} by the CronJobs backup-*; copies older than "
                   "`backup.keep` are removed there.\n",
                   s.endpoint, s.bucket)});
  return part;
}

}  // namespace

std::vector<Part> backup(const Context& context, const std::vector<Part>& parts) {
  const spec::Reader spec = context.spec().sub("backup");
  std::string use = spec.text("use");
  if (use.empty()) {
    if (!context.spec().has("backup")) return {};
    use = context.site() == Site::k3s && context.small() ? "copies" : "velero";
  }
  if (use == "none") return {};
  return {use == "copies" ? copies(context, parts) : velero(context, parts)};
}

}  // namespace tg::render
