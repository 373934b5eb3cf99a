// Builders for Kubernetes objects that recur, so that every workload is hardened in one place. Pure
// functions.
//
// Json is ordered: fields come out in the order in which they were put in.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tg::render {

using Json = nlohmann::ordered_json;
using Labels = std::map<std::string, std::string>;

// An object with its name; `ns` empty = cluster-scoped. Labels app.kubernetes.io/{name,part-of,managed-by}
// are set by label() when the tree is put together.
Json object(std::string_view api_version, std::string_view kind, std::string_view name,
            std::string_view ns = {});
Json to_json(const Labels& labels);

struct Port {
  std::string name{};  // at most 15 characters
  int number = 0;
  std::string protocol = "TCP";
};

// Requests and limits as Kubernetes quantities, for example {"cpu", "100m"}. Empty = none.
struct Resources {
  Labels requests{};
  Labels limits{};
};
Json to_json(const Resources& resources);
Resources resources(std::string_view cpu_request, std::string_view memory_request, std::string_view cpu_limit,
                    std::string_view memory_limit);

Json http_probe(std::string_view path, std::string_view port, int period_seconds = 10, int failures = 3);
Json tcp_probe(std::string_view port, int period_seconds = 10, int failures = 3);
Json exec_probe(const std::vector<std::string>& command, int period_seconds = 10, int failures = 3);

// Environment entries.
Json env(std::string_view name, std::string_view value);
Json env_from_secret(std::string_view name, std::string_view secret, std::string_view key);
Json env_from_field(std::string_view name, std::string_view field);

struct Mount {
  std::string volume{};
  std::string path{};
  bool read_only = false;
  std::string sub_path{};
};

struct Container {
  std::string name{};
  std::string image{};
  std::string pull_policy = "IfNotPresent";
  std::vector<std::string> command{}, args{};
  std::vector<Port> ports{};
  std::vector<Json> env{};
  Json env_from = Json::array();
  Resources resources{};
  Json startup{}, readiness{}, liveness{};  // null = none
  std::vector<Mount> mounts{};
  bool writable_root = false;               // only with a reason at the caller
  std::vector<std::string> capabilities{};  // added to none
  std::optional<bool> run_as_root{};        // true: only with a reason at the caller
};
// With the security context that the `restricted` level demands and a read-only root file system.
Json to_json(const Container& container);

// Where pods run.
struct Placement {
  Labels node_selector{};
  std::vector<Json> tolerations{};
  bool spread = true;  // over nodes and zones, when there is more than one replica
};
// "key=value:Effect" as a toleration of exactly this taint.
Json toleration(std::string_view taint);

struct Pod {
  Labels labels{};  // of the pods, the selector is taken from app.kubernetes.io/name and instance
  Labels annotations{};
  std::vector<Container> containers{}, init{};
  std::vector<Json> volumes{};
  std::string service_account{};
  bool api_token = false;  // mounts the token of the service account
  int user = 65532, group = 65532;
  Placement placement{};
  std::string priority_class{};
  std::optional<int> grace_seconds{};
  std::string restart_policy{};  // empty = Always
};
Json pod_template(std::string_view app, const Pod& pod, int replicas);

Json volume_config(std::string_view name, std::string_view config_map);
Json volume_secret(std::string_view name, std::string_view secret);
Json volume_claim(std::string_view name, std::string_view claim);
Json volume_scratch(std::string_view name, std::string_view size_limit = {});
Json claim(std::string_view name, std::string_view size, std::string_view storage_class,
           std::string_view access = "ReadWriteOnce");  // of a StatefulSet's volumeClaimTemplates
Json persistent_volume_claim(std::string_view name, std::string_view ns, std::string_view size,
                             std::string_view storage_class, std::string_view access = "ReadWriteOnce");

// `replicas` < 0 leaves the count out: an autoscaler has it.
Json deployment(std::string_view name, std::string_view ns, int replicas, const Pod& pod);
Json stateful_set(std::string_view name, std::string_view ns, int replicas, const Pod& pod,
                  std::vector<Json> claims);
Json daemon_set(std::string_view name, std::string_view ns, const Pod& pod);
Json job(std::string_view name, std::string_view ns, const Pod& pod, int retries = 3);
Json cron_job(std::string_view name, std::string_view ns, std::string_view schedule, const Pod& pod,
              std::string_view time_zone = {});

Json service(std::string_view name, std::string_view ns, const Labels& selector,
             const std::vector<Port>& ports, bool headless = false);
Json service_account(std::string_view name, std::string_view ns, const Labels& annotations = {});
Json disruption_budget(std::string_view name, std::string_view ns, const Labels& selector,
                       int max_unavailable = 1);
Json config_map(std::string_view name, std::string_view ns,
                const std::vector<std::pair<std::string, std::string>>& data);

struct Rule {
  std::vector<std::string> groups, resources, verbs, names{};
};
Json role(std::string_view name, std::string_view ns,
          const std::vector<Rule>& rules);  // ns empty: ClusterRole
struct Subject {
  std::string kind{};  // ServiceAccount, Group, User
  std::string name{};
  std::string ns{};
};
Json role_binding(std::string_view name, std::string_view ns, std::string_view role_kind,
                  std::string_view role_name, const std::vector<Subject>& subjects);

// The two labels by which everything selects the pods of an app.
Labels selector(std::string_view app);

}  // namespace tg::render
