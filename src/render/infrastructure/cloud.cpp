#include "render/infrastructure/cloud.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

namespace tg::render {

namespace {

constexpr double kGi = 1024.0 * 1024.0 * 1024.0;
constexpr double kDay = 86400.0;

struct Net {
  std::uint32_t base = 0;
  int length = 32;
};

std::uint32_t mask(int length) { return length == 0 ? 0 : ~std::uint32_t{0} << (32 - length); }

Net parse(std::string_view text) {
  Net out;
  std::uint32_t part = 0;
  std::size_t i = 0;
  for (; i < text.size() && text[i] != '/'; ++i) {
    if (text[i] == '.') {
      out.base = (out.base << 8) | part;
      part = 0;
    } else {
      part = part * 10 + static_cast<std::uint32_t>(text[i] - '0');
    }
  }
  out.base = (out.base << 8) | part;
  if (i < text.size()) {
    out.length = 0;
    for (++i; i < text.size(); ++i) out.length = out.length * 10 + (text[i] - '0');
  }
  out.base &= mask(out.length);
  return out;
}

std::vector<std::string> default_zones(Site site, const std::string& region) {
  switch (site) {
    case Site::open_telekom_cloud:
      return {region + "-01", region + "-02", region + "-03"};
    case Site::google:
      // The first region has no zone a.
      return region == "europe-west1" || region == "us-east1"
                 ? std::vector<std::string>{region + "-b", region + "-c", region + "-d"}
                 : std::vector<std::string>{region + "-a", region + "-b", region + "-c"};
    case Site::azure:
      return {"1", "2", "3"};
    default:
      return {region + "a", region + "b", region + "c"};
  }
}

std::string default_type(Site site, bool gpu) {
  switch (site) {
    case Site::open_telekom_cloud:
      return gpu ? "pi2.2xlarge.4" : "s3.xlarge.4";
    case Site::google:
      return gpu ? "g2-standard-8" : "n2-standard-4";
    case Site::azure:
      return gpu ? "Standard_NC4as_T4_v3" : "Standard_D4s_v5";
    default:
      return gpu ? "g6.2xlarge" : "m6i.xlarge";
  }
}

// Copies lie where the platform is not.
std::string other_region(Site site, const std::string& region) {
  switch (site) {
    case Site::open_telekom_cloud:
      return region == "eu-de" ? "eu-nl" : "eu-de";
    case Site::google:
      return region.starts_with("europe-") ? (region == "europe-west1" ? "europe-west4" : "europe-west1")
                                           : (region == "us-central1" ? "us-east1" : "us-central1");
    case Site::azure:
      return region == "northeurope" ? "westeurope" : "northeurope";
    default:
      return region.starts_with("eu-") ? (region == "eu-west-1" ? "eu-central-1" : "eu-west-1")
                                       : (region == "us-west-2" ? "us-east-1" : "us-west-2");
  }
}

Pool pool(const Context& context, const std::string& name, const spec::Reader& p) {
  Pool out{.name = name};
  if (p.text("gpu.vendor") == "nvidia") out.gpus = static_cast<int>(p.integer("gpu.count"));
  out.types = p.list("instanceTypes");
  if (out.types.empty()) out.types = {default_type(context.site(), out.gpus > 0)};
  out.os = p.text("os");
  out.min = static_cast<int>(p.integer("count.min"));
  out.max = static_cast<int>(p.integer("count.max"));
  out.spot_share = p.number("spot.share");
  out.on_demand_base = static_cast<int>(p.integer("spot.onDemandBase"));
  out.disk_gib = static_cast<int>(std::ceil(p.number("disk.size") / kGi));
  out.disk_type = p.text("disk.type");
  for (auto& [key, value] : p.texts_map("labels")) out.labels.emplace(key, value);
  out.labels.emplace("tidegate.dev/pool", name);
  if (out.gpus > 0) out.labels.emplace("nvidia.com/gpu.present", "true");
  out.taints = p.list("taints");
  if (out.taints.empty() && out.gpus > 0) out.taints = {"nvidia.com/gpu=true:NoSchedule"};
  out.local_disks = p.text("localDisks");
  return out;
}

void read_access(const Context& context, Cloud& out) {
  const spec::Reader access = context.spec().sub("access");
  out.public_api = access.text("api") == "public";
  out.api_from = access.list("from");
  out.bastion = access.flag("bastion");
  out.vpn_peer = access.text("vpn.peer");
  out.vpn_networks = access.list("vpn.networks");
  if (const auto key = access.secret("vpn.preSharedKey")) out.vpn_key = describe(*key);
  for (const spec::Reader& peer : access.entries("peering"))
    out.peers.emplace_back(peer.text("vpcId"), peer.list("networks"));
}

void read_backup(const Context& context, Cloud& out) {
  const spec::Reader backup = context.spec().sub("backup");
  out.keep_days = static_cast<int>(std::ceil(backup.seconds("keep") / kDay));
  if (backup.text("use") == "none" || backup.has("store.s3")) return;
  out.backup_bucket = backup.text("store.bucket");
  if (out.backup_bucket.empty()) out.backup_bucket = out.name + "-backup";
  out.backup_region = backup.text("store.region");
  if (out.backup_region.empty()) out.backup_region = other_region(context.site(), out.region);
}

}  // namespace

int prefix_length(std::string_view cidr) { return parse(cidr).length; }

std::string subnet(std::string_view cidr, int length, std::uint32_t index) {
  const std::uint32_t base = parse(cidr).base + (index << (32 - length));
  return fmt::format("{}.{}.{}.{}/{}", base >> 24, (base >> 16) & 255, (base >> 8) & 255, base & 255, length);
}

bool overlap(std::string_view a, std::string_view b) {
  const Net left = parse(a), right = parse(b);
  const std::uint32_t both = mask(std::min(left.length, right.length));
  return (left.base & both) == (right.base & both);
}

std::string identifier(std::string_view name) {
  std::string out(name);
  std::replace_if(
      out.begin(), out.end(),
      [](char c) {
        return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-');
      },
      '_');
  return out;
}

std::vector<Group> groups(const Pool& pool, const std::vector<std::vector<std::string>>& shapes) {
  std::vector<Group> out;
  const int count = static_cast<int>(shapes.size());
  int min_left = pool.min, base_left = pool.on_demand_base;
  for (int i = 0; i < count; ++i) {
    const auto& types = shapes[static_cast<std::size_t>(i)];
    // The first shape is preferred: it takes what cannot be shared evenly, and the minimum.
    const int most = pool.max / count + (i < pool.max % count ? 1 : 0);
    if (most == 0) continue;
    const int least = std::min(min_left, most);
    min_left -= least;
    std::string name = pool.name;
    if (count > 1) name += "-" + types.front();
    std::replace(name.begin(), name.end(), '.', '-');
    if (pool.spot_share <= 0) {
      out.push_back({name, types, false, least, most});
      continue;
    }
    const int base = std::min(base_left, most);
    base_left -= base;
    const int spot = static_cast<int>(std::lround(pool.spot_share * (most - base)));
    const int spot_min = std::min(std::max(0, least - base), spot);
    if (most > spot) out.push_back({name + "-on-demand", types, false, least - spot_min, most - spot});
    if (spot > 0) out.push_back({name + "-spot", types, true, spot_min, spot});
  }
  return out;
}

std::vector<Pool> pools(const Context& context) {
  std::vector<Pool> out;
  for (const auto& [name, p] : context.spec().named("pools")) out.push_back(pool(context, name, p));
  if (out.empty()) {
    out.push_back({.name = "general",
                   .types = {default_type(context.site(), false)},
                   .min = 3,
                   .max = 3,
                   .disk_gib = 100,
                   .labels = {{"tidegate.dev/pool", "general"}}});
  }
  return out;
}

namespace {

std::string logs_bucket(const Context& context) {
  const spec::Reader logs = context.component("logs");
  if (context.use("logs") != "loki") return {};
  std::string bucket = logs.text("storage.bucket");
  if (!bucket.empty() || logs.text("mode") != "distributed") return bucket;
  return context.name() + "-logs";
}

}  // namespace

Cloud cloud(const Context& context, const std::vector<Part>& parts) {
  const spec::Reader site = context.infrastructure();
  const spec::Reader& spec = context.spec();
  Cloud out;
  out.name = context.name();
  out.cluster = context.cluster_name();
  out.region = site.text("region");
  out.zones = site.list("zones");
  if (out.zones.empty()) out.zones = default_zones(context.site(), out.region);
  out.network = site.text("network.name");
  if (out.network.empty()) out.network = context.name();
  out.cidr = site.text("network.cidr");
  for (const auto& [name, s] : site.named("network.subnets"))
    out.subnets.push_back({name, s.text("cidr"), out.zones[out.subnets.size() % out.zones.size()]});
  out.nameservers = site.list("network.nameservers");
  out.egress = site.text("network.egress");
  out.pools = pools(context);
  for (const auto& [key, value] : spec.texts_map("tags")) out.tags.emplace(key, value);
  out.tags.emplace("platform", context.name());
  if (const std::string team = spec.text("contacts.team"); !team.empty()) out.tags.emplace("team", team);
  out.gateway = context.has("gateway");
  out.zone = site.text("dns.zone");
  if (out.zone.empty()) out.zone = spec.text("domain");
  std::set<std::string> hosts;
  for (const Part& p : parts) {
    for (const Published& published : p.published) hosts.insert(published.host);
  }
  if (out.gateway) out.hosts.assign(hosts.begin(), hosts.end());
  out.state_bucket = site.text("state.bucket");
  if (out.state_bucket.empty()) {
    context.warn("state_is_local", site.at("state"), site.where("state.bucket"),
                 "Terraform keeps its state on the machine that applies",
                 "name a bucket: two people cannot apply without one, and a lost disk loses the state");
  }
  out.kubeconfig_days =
      std::max(1, static_cast<int>(std::floor(spec.seconds("cluster.kubeconfig.validFor") / kDay)));
  out.audit = spec.text("cluster.audit");
  out.logs_bucket = logs_bucket(context);
  read_access(context, out);
  read_backup(context, out);
  return out;
}

Json public_key(Terraform& tf, const Context& context) {
  const spec::Reader site = context.infrastructure();
  const auto key = site.secret("keyPair.publicKey");
  if (!key) return nullptr;
  if (key->how == spec::SecretRef::How::file) {
    const Block file =
        tf.variable({.name = "node_public_key_file",
                     .type = "string",
                     .description = "Public key of the nodes' login, on the machine that applies",
                     .fallback = key->name});
    return expression(fmt::format("trimspace(file(pathexpand({})))", file.address));
  }
  return tf
      .variable({.name = "node_public_key",
                 .type = "string",
                 .description = fmt::format("Public key of the nodes' login: {}", describe(*key))})
      .value();
}

void add_first_apply(Part& part, const Cloud& c) {
  part.sections.push_back(
      {Section::Chapter::first_steps, "Build what the cloud holds",
       "Read what is to be made before it is made. Apply writes the kubeconfig; how its address is reached "
       "stands under Access.\n\n```sh\n"
       "tofu -chdir=infrastructure/terraform init\n"
       "tofu -chdir=infrastructure/terraform plan -out=tf.plan\n"
       "tofu -chdir=infrastructure/terraform show tf.plan\n"
       "tofu -chdir=infrastructure/terraform apply tf.plan\n"
       "export KUBECONFIG=$PWD/infrastructure/terraform/kubeconfig\n"
       "kubectl get nodes\n```\n"});
  const bool zone = std::find(part.outputs.begin(), part.outputs.end(), "nameservers") != part.outputs.end();
  if (!zone || c.zone.empty()) return;
  part.sections.push_back({Section::Chapter::first_steps, "The domain",
                           fmt::format("At the registrar of {}, name the servers of the zone:\n\n```sh\n"
                                       "tofu -chdir=infrastructure/terraform output nameservers\n```\n",
                                       c.zone)});
}

std::string forwarded_kubeconfig() {
  return "install -m 0600 infrastructure/terraform/kubeconfig forwarded.kubeconfig\n"
         "export KUBECONFIG=$PWD/forwarded.kubeconfig\n"
         "kubectl config set-cluster \"$(kubectl config view -o jsonpath='{.clusters[0].name}')\" \\\n"
         "  --server=https://localhost:8443 --tls-server-name=\"$api\"\n"
         "kubectl get nodes\n";
}

namespace {

// How one comes to an API server that has no public address.
std::string ways_in(const Cloud& c) {
  std::string out;
  const auto add = [&out](const char* way) { out += fmt::format("{}{}", out.empty() ? "" : ", ", way); };
  if (!c.vpn_peer.empty()) add("by the VPN");
  if (!c.peers.empty()) add("from a peered network");
  if (c.bastion) add("by the bastion");
  if (out.empty())
    return "The API server has no public address, and the document names no way in: only a machine inside "
           "the "
           "network reaches it. `access.bastion`, `access.vpn` or `access.peering` makes one.";
  return "The API server has no public address. It is reached " + out + ", and from inside the network.";
}

}  // namespace

Part terraform_part(const Context& context, const Cloud& c, const Terraform& tf, std::string_view name) {
  Part part;
  part.where = Where::infrastructure;
  part.name = name;
  part.extras = tf.files("terraform");
  part.outputs = tf.outputs();
  part.steps.push_back({.kind = "terraform", .what = "terraform", .timeout = "60m"});
  part.sections.push_back({Section::Chapter::upgrade, "Change what the cloud holds",
                           "tofu -chdir=infrastructure/terraform init\n"
                           "tofu -chdir=infrastructure/terraform plan -out=tf.plan\n"
                           "tofu -chdir=infrastructure/terraform show tf.plan\n"
                           "tofu -chdir=infrastructure/terraform apply tf.plan\n"});
  part.sections.push_back(
      {Section::Chapter::access, "The kubeconfig",
       fmt::format(
           "Apply writes `infrastructure/terraform/kubeconfig`, readable by you alone. Use it as it is or "
           "put it beside what you have; nothing is overwritten:\n\n```sh\n"
           "export KUBECONFIG=$PWD/infrastructure/terraform/kubeconfig\n"
           "kubectl get nodes\n"
           "KUBECONFIG=$HOME/.kube/config:$KUBECONFIG kubectl config view --flatten > kubeconfig.merged\n"
           "install -m 0600 kubeconfig.merged ~/.kube/config\n```\n\n{}\n",
           c.public_api ? "The API server answers only the networks that the document names." : ways_in(c))});
  part.sections.push_back(
      {Section::Chapter::restore, "Take the platform down",
       "Two steps, because what holds data is protected: first remove its protection on purpose (deletion "
       "protection of databases, `prevent_destroy` of buckets), then\n\n```sh\n"
       "tofu -chdir=infrastructure/terraform plan -destroy -out=destroy.plan\n"
       "tofu -chdir=infrastructure/terraform apply destroy.plan\n```\n"});
  static_cast<void>(context);
  return part;
}

}  // namespace tg::render
