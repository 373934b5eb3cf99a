// Nodes of EKS: a managed group for each purchase option and shape of a pool.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "render/infrastructure/aws.hpp"

namespace tg::render {

namespace {

// Machines of one size with the same processors are alike to the autoscaler: "m5.2xlarge" and "m6i.2xlarge"
// are both general ones of that size. Accelerated families are each their own.
std::string shape(const std::string& type) {
  const std::size_t dot = type.find('.');
  const std::string family = type.substr(0, dot), size = type.substr(std::min(dot, type.size()));
  static const std::string kPlain = "cmrt";
  if (kPlain.find(family.front()) == std::string::npos) return type;
  const bool arm = family.find('g', 1) != std::string::npos;
  const bool disk = family.find('d', 1) != std::string::npos;
  return fmt::format("{}{}{}{}", family.front(), size, arm ? " arm" : "", disk ? " disk" : "");
}

std::vector<std::vector<std::string>> shapes(const Pool& pool) {
  std::vector<std::pair<std::string, std::vector<std::string>>> out;
  for (const std::string& type : pool.types) {
    const std::string s = shape(type);
    const auto it = std::find_if(out.begin(), out.end(), [&](const auto& o) { return o.first == s; });
    if (it == out.end())
      out.emplace_back(s, std::vector<std::string>{type});
    else
      it->second.push_back(type);
  }
  std::vector<std::vector<std::string>> types;
  for (auto& [name, list] : out) types.push_back(std::move(list));
  return types;
}

std::string image(const Pool& pool, const std::string& type) {
  const std::string family = type.substr(0, type.find('.'));
  // Graviton: a g behind the number of the generation ("m7g", "c6gn").
  const std::size_t digit = family.find_first_of("0123456789");
  const bool arm = digit != std::string::npos && family.find('g', digit) != std::string::npos;
  const std::string machine = arm ? "ARM_64" : "x86_64";
  const bool bottlerocket = pool.os.starts_with("Bottlerocket");
  if (bottlerocket) return fmt::format("BOTTLEROCKET_{}{}", machine, pool.gpus > 0 ? "_NVIDIA" : "");
  if (arm) return pool.gpus > 0 ? "AL2023_ARM_64_NVIDIA" : "AL2023_ARM_64_STANDARD";
  return pool.gpus > 0 ? "AL2023_x86_64_NVIDIA" : "AL2023_x86_64_STANDARD";
}

Json taints(const Pool& pool) {
  static const std::map<std::string, std::string> kEffects{
      {"NoSchedule", "NO_SCHEDULE"}, {"PreferNoSchedule", "PREFER_NO_SCHEDULE"}, {"NoExecute", "NO_EXECUTE"}};
  Json out = Json::array();
  for (const std::string& t : pool.taints) {
    const std::size_t colon = t.rfind(':');
    const std::size_t equals = t.find('=');
    const bool value = equals != std::string::npos && equals < colon;
    Json taint{{"key", t.substr(0, value ? equals : colon)}};
    if (value) taint["value"] = t.substr(equals + 1, colon - equals - 1);
    taint["effect"] = kEffects.at(t.substr(colon + 1));
    out.push_back(std::move(taint));
  }
  return out;
}

// What the autoscaler must know of a group that has no node yet.
Labels node_template(const Cloud& c, const Pool& pool) {
  constexpr const char* kPrefix = "k8s.io/cluster-autoscaler/node-template/";
  Labels out{{"k8s.io/cluster-autoscaler/enabled", "true"},
             {fmt::format("k8s.io/cluster-autoscaler/{}", c.cluster), "owned"}};
  for (const auto& [key, value] : pool.labels) out.emplace(fmt::format("{}label/{}", kPrefix, key), value);
  for (const std::string& t : pool.taints) {
    const std::size_t colon = t.rfind(':');
    const std::size_t equals = t.find('=');
    const bool value = equals != std::string::npos && equals < colon;
    out.emplace(fmt::format("{}taint/{}", kPrefix, t.substr(0, value ? equals : colon)),
                value ? t.substr(equals + 1) : t.substr(colon));
  }
  if (pool.gpus > 0)
    out.emplace(fmt::format("{}resources/nvidia.com/gpu", kPrefix), std::to_string(pool.gpus));
  out.emplace(fmt::format("{}resources/ephemeral-storage", kPrefix), fmt::format("{}Gi", pool.disk_gib));
  return out;
}

// Multi-part, as the image's first boot reads it: each local disk is mounted below /mnt/k8s-disks.
constexpr const char* kLocalDisks =
    "MIME-Version: 1.0\n"
    "Content-Type: multipart/mixed; boundary=\"node\"\n"
    "\n"
    "--node\n"
    "Content-Type: application/node.eks.aws\n"
    "\n"
    "apiVersion: node.eks.aws/v1alpha1\n"
    "kind: NodeConfig\n"
    "spec:\n"
    "  instance:\n"
    "    localStorage:\n"
    "      strategy: Mount\n"
    "\n"
    "--node--\n";

Json disk_of(const Pool& pool) {
  Json disk{{"volume_size", pool.disk_gib},
            {"volume_type", pool.disk_type.empty() ? "gp3" : pool.disk_type},
            {"encrypted", true},
            {"delete_on_termination", true}};
  // Bottlerocket keeps its system apart: images and volumes of pods are on the second disk.
  return Json::array({Json{{"device_name", pool.os.starts_with("Bottlerocket") ? "/dev/xvdb" : "/dev/xvda"},
                           {"ebs", std::move(disk)}}});
}

Block launch_template(Aws& a, const Pool& pool, const Json& key_name) {
  const std::string name = fmt::format("${{var.cluster_name}}-{}", pool.name);
  Json tags = Json::array();
  for (const char* kind : {"instance", "volume", "network-interface"})
    tags.push_back(Json{{"resource_type", kind},
                        {"tags", expression(fmt::format("merge(var.tags, {{ Name = \"{}\" }})", name))}});
  // Pods do not reach the node's own identity: one hop, and only with a session.
  Json metadata{
      {"http_endpoint", "enabled"}, {"http_tokens", "required"}, {"http_put_response_hop_limit", 1}};
  Json body{{"name", name},
            {"update_default_version", true},
            {"block_device_mappings", disk_of(pool)},
            {"metadata_options", std::move(metadata)},
            {"monitoring", nested("enabled", true)},
            {"tag_specifications", std::move(tags)}};
  if (!key_name.is_null()) body["key_name"] = key_name;
  if (!pool.local_disks.empty()) body["user_data"] = expression("base64encode(local.local_disks)");
  return a.tf.resource("pools", "aws_launch_template", identifier(pool.name), std::move(body));
}

// What must be there before a node can join: its rights, and the network's own plugin.
Json node_rights(Aws& a) {
  const Block trust = service_trust(a, "pools", "nodes_trust", "ec2.amazonaws.com");
  a.node_role =
      a.tf.resource("pools", "aws_iam_role", "nodes",
                    {{"name", "${var.cluster_name}-nodes"}, {"assume_role_policy", trust.at("json")}});
  Json before = Json::array();
  for (const char* policy :
       {"AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly", "AmazonSSMManagedInstanceCore"}) {
    const Block right =
        a.tf.resource("pools", "aws_iam_role_policy_attachment", fmt::format("nodes_{}", policy),
                      {{"role", a.node_role.at("name")},
                       {"policy_arn", fmt::format("arn:aws:iam::aws:policy/{}", policy)}});
    before.push_back(right.address);
  }
  before.push_back("aws_eks_addon.vpc-cni");
  return before;
}

void node_group(Aws& a, const Pool& pool, const Group& g, const Block& launch, const Json& before) {
  Json scale{{"min_size", g.min}, {"desired_size", g.min}, {"max_size", g.max}};
  Json from{{"id", launch.at("id")}, {"version", launch.at("latest_version")}};
  Json body{{"cluster_name", a.cluster.at("name")},
            {"node_group_name", fmt::format("${{var.cluster_name}}-{}", g.name)},
            {"node_role_arn", a.node_role.at("arn")},
            {"subnet_ids", a.private_ids()},
            {"capacity_type", g.spot ? "SPOT" : "ON_DEMAND"},
            {"ami_type", image(pool, g.types.front())},
            {"instance_types", g.types},
            {"labels", to_json(pool.labels)},
            {"scaling_config", std::move(scale)},
            {"update_config", nested("max_unavailable_percentage", 33)},
            {"node_repair_config", nested("enabled", true)},
            {"launch_template", std::move(from)},
            {"depends_on", before},
            {"lifecycle", nested("ignore_changes", Json::array({"scaling_config[0].desired_size"}))}};
  if (!pool.taints.empty()) body["taint"] = taints(pool);
  const Block group = a.tf.resource("pools", "aws_eks_node_group", identifier(g.name), std::move(body));
  if (by_karpenter(a.context)) return;
  // Tags of a managed group do not reach the group of machines behind it, which the autoscaler reads.
  Json tag{{"key", "${each.key}"}, {"value", "${each.value}"}, {"propagate_at_launch", true}};
  a.tf.resource("pools", "aws_autoscaling_group_tag", identifier(g.name),
                {{"for_each", to_json(node_template(a.c, pool))},
                 {"autoscaling_group_name", group.at("resources[0].autoscaling_groups[0].name")},
                 {"tag", std::move(tag)}});
}

}  // namespace

std::vector<Group> aws_groups(const Pool& pool) { return groups(pool, shapes(pool)); }

std::vector<Group> aws_managed_groups(const Context& context, const Pool& pool) {
  if (!by_karpenter(context) || !pool.scales()) return aws_groups(pool);
  if (pool.min == 0) return {};
  return {
      {.name = pool.name, .types = shapes(pool).front(), .spot = false, .min = pool.min, .max = pool.min}};
}

void aws_pools(Aws& a) {
  const Json before = node_rights(a);
  Json key_name = nullptr;
  if (Json half = public_key(a.tf, a.context); !half.is_null())
    key_name = a.tf.resource("pools", "aws_key_pair", "nodes",
                             {{"key_name", "${var.cluster_name}-nodes"}, {"public_key", std::move(half)}})
                   .at("key_name");
  if (std::any_of(a.c.pools.begin(), a.c.pools.end(), [](const Pool& p) { return !p.local_disks.empty(); }))
    a.tf.local("local_disks", kLocalDisks);
  for (const Pool& pool : a.c.pools) {
    const std::vector<Group> managed = aws_managed_groups(a.context, pool);
    if (managed.empty()) continue;
    const Block launch = launch_template(a, pool, key_name);
    for (const Group& g : managed) node_group(a, pool, g, launch, before);
  }
}

}  // namespace tg::render
