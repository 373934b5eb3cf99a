#include "render/infrastructure/hosts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "catalog/releases.hpp"
#include "render/infrastructure/script.hpp"
#include "text/emit.hpp"

namespace tg::render {

namespace {

constexpr std::string_view kHead = "# Written by tidegate render. Change the document, not this file.\n";

std::string role_of(const Context& context, const std::string& written) {
  if (context.site() == Site::k3s)
    return written == "server" || written == "controlPlane" ? "server" : "agent";
  if (written == "loadBalancer") return "load-balancer";
  return written == "controlPlane" ? "control-plane" : "worker";
}

// The key with which scripts arrive: a file, or whatever the agent of the operator's shell holds.
std::string identity(const Context& context) {
  const spec::Reader site = context.infrastructure();
  const auto ref = site.secret("ssh.identity");
  if (!ref) return {};
  if (ref->how != spec::SecretRef::How::file) {
    context.refuse("cannot_render", ref->at, site.where("ssh.identity"), "ssh reads its key from a file",
                   "write {file: ~/.ssh/id_ed25519}, or leave it out");
    return {};
  }
  return ref->name;
}

std::vector<std::pair<std::string, std::string>> of_each(const std::vector<Host>& all,
                                                         std::string Host::* what) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const Host& h : all) out.emplace_back(h.name, h.*what);
  return out;
}

std::vector<std::string> names(const std::vector<Host>& all) {
  std::vector<std::string> out;
  for (const Host& h : all) out.push_back(h.name);
  return out;
}

std::vector<std::string> packages(const Context& context) {
  std::vector<std::string> out{"openssl"};
  if (context.spec().text("cluster.swap") == "zram") out.emplace_back("systemd-zram-generator");
  if (context.site() == Site::k3s) out.emplace_back("sqlite3");
  if (context.spec().has("backup.store.s3")) out.emplace_back("rclone");
  return out;
}

Extra inventory_script(const Context& context, const std::vector<Host>& all) {
  const Endpoint api = endpoint(context, all);
  const spec::Reader site = context.infrastructure();
  std::string out = "# shellcheck shell=bash disable=SC2034\n" + std::string(kHead);
  const auto put = [&out](std::string_view name, const std::string& value) {
    out += fmt::format("{}={}\n", name, value);
  };
  put("platform", shell_word(context.name()));
  put("os", shell_word(context.site() == Site::machines ? site.text("os") : std::string("any")));
  put("swap", shell_word(context.spec().text("cluster.swap")));
  put("packages", shell_list(packages(context)));
  put("endpoint", shell_word(api.text()));
  put("kubeconfig_hours",
      fmt::format("{}", static_cast<int>(context.spec().seconds("cluster.kubeconfig.validFor") / 3600)));
  put("ssh_port", fmt::format("{}", site.integer("ssh.port")));
  put("ssh_user", shell_word(site.text("ssh.user")));
  // A home folder is that of whoever runs the scripts.
  const std::string key = identity(context);
  put("ssh_identity", key.starts_with("~/") ? "$HOME/" + shell_word(key.substr(2)) : shell_word(key));
  out += fmt::format("declare -A address={}\n", shell_map(of_each(all, &Host::address)));
  out += fmt::format("declare -A role={}\n", shell_map(of_each(all, &Host::role)));
  out += fmt::format("declare -A pool={}\n", shell_map(of_each(all, &Host::pool)));
  put("all", shell_list(names(all)));
  if (context.site() == Site::k3s) {
    put("servers", shell_list(names(with_role(all, "server"))));
    put("agents", shell_list(names(with_role(all, "agent"))));
  } else {
    put("load_balancers", shell_list(names(with_role(all, "load-balancer"))));
    put("control_planes", shell_list(names(with_role(all, "control-plane"))));
    put("workers", shell_list(names(with_role(all, "worker"))));
  }
  return {.path = "inventory.sh", .content = std::move(out)};
}

Extra inventory_table(const Context& context, const std::vector<Host>& all) {
  Json list = Json::array();
  for (const Host& h : all) {
    Json host{{"name", h.name}, {"address", h.address}, {"role", h.role}};
    if (!h.pool.empty()) host["pool"] = h.pool;
    if (!h.resources.empty()) host["resources"] = to_json(h.resources);
    for (const Host::Disk& d : h.disks)
      host["disks"].push_back({{"class", d.storage_class}, {"path", d.path}, {"size", d.size}});
    list.push_back(std::move(host));
  }
  const Json out{
      {"platform", context.name()}, {"endpoint", endpoint(context, all).text()}, {"hosts", std::move(list)}};
  return yaml_settings("inventory.yaml", "Every machine of the platform and what it is for.", out);
}

constexpr std::string_view kRunHead = R"sh(cd "$here"
ssh_options=(-o BatchMode=yes -o ConnectTimeout=15 -p "$ssh_port")
if [[ -n $ssh_identity ]]; then ssh_options+=(-i "$ssh_identity"); fi
place=/var/lib/tidegate/hosts

# on HOST COMMAND: as root. Standard input and output are the command's.
on() {
  local name=$1
  shift
  # shellcheck disable=SC2029
  ssh "${ssh_options[@]}" "$ssh_user@${address[$name]}" "sudo $*"
}

# push HOST: this folder, so that the scripts find their files. Only root reads it there.
push() {
  tar --create --file=- --exclude=.git --exclude='*.kubeconfig' . |
    on "$1" "sh -c 'umask 077; rm -rf $place; mkdir -p $place; tar --extract --no-same-owner --file=- --directory=$place'"
}

# step NAME SCRIPT HOST...: the script on each of the hosts; all of them when no step was asked for.
wanted=("$@")
step() {
  local name=$1 program=$2 target
  shift 2
  if (( ${#wanted[@]} )) && [[ " ${wanted[*]} " != *" $name "* ]]; then return 0; fi
  for target in "$@"; do
    say "== $name on $target"
    on "$target" "$place/$program $target"
  done
}

for target in "${all[@]}"; do push "$target"; done
)sh";

}  // namespace

std::vector<Host> hosts(const Context& context) {
  std::vector<Host> out;
  for (const auto& [name, h] : context.infrastructure().named("hosts")) {
    Host host{.name = name, .address = h.text("address"), .role = role_of(context, h.text("role"))};
    host.pool = h.text("pool");
    host.resources = h.quantities("resources");
    for (const auto& [disk, d] : h.named("localDisks"))
      host.disks.push_back({disk, d.text("path"), d.text("size")});
    out.push_back(std::move(host));
  }
  return out;
}

std::vector<Host> with_role(const std::vector<Host>& all, std::string_view role) {
  std::vector<Host> out;
  std::copy_if(all.begin(), all.end(), std::back_inserter(out),
               [&](const Host& h) { return h.role == role; });
  return out;
}

std::vector<std::string> pool_taints(const Context& context, const std::string& pool) {
  for (const auto& [name, p] : context.spec().named("pools")) {
    if (name != pool) continue;
    std::vector<std::string> taints = p.list("taints");
    const bool gpus = p.text("gpu.vendor") != "none";
    if (taints.empty() && !p.has("taints") && gpus) taints.emplace_back("nvidia.com/gpu=true:NoSchedule");
    return taints;
  }
  return {};
}

std::string Endpoint::text() const { return fmt::format("{}:{}", host, port); }

Endpoint endpoint(const Context& context, const std::vector<Host>& all) {
  Endpoint out;
  const std::string written = context.spec().text("cluster.endpoint");
  // A shared address stands before the load balancers, one of these before the control planes.
  std::string address;
  if (context.site() == Site::machines) address = context.infrastructure().text("virtualAddress");
  std::string first;
  for (const std::string_view role : {"load-balancer", "control-plane", "server"}) {
    const std::vector<Host> some = with_role(all, role);
    if (some.empty()) continue;
    if (address.empty()) address = some.front().address;
    first = some.front().name;
    break;
  }
  if (written.empty()) {
    out.host = context.site() == Site::machines ? first : address;
  } else {
    const std::size_t colon = written.rfind(':');
    out.host = written.substr(0, colon);
    if (colon != std::string::npos) out.port = std::atoi(written.c_str() + colon + 1);
  }
  if (out.host != address) out.address = address;
  return out;
}

Extra settings(std::string path, std::string_view why, std::string_view content) {
  return {.path = std::move(path), .content = fmt::format("{}# {}\n{}", kHead, why, content)};
}

Extra yaml_settings(std::string path, std::string_view why, const Json& value) {
  return settings(std::move(path), why, text::emit_yaml(value));
}

std::vector<Extra> inventory(const Context& context, const std::vector<Host>& all) {
  std::string lines;
  const Endpoint api = endpoint(context, all);
  for (const Host& h : all) {
    // The endpoint's name belongs to the shared address, if there is one.
    const bool shared = h.name == api.host && !api.address.empty() && api.address != h.address;
    lines += fmt::format("{} {}\n", shared ? api.address : h.address, h.name);
  }
  const bool known = std::any_of(all.begin(), all.end(), [&](const Host& h) { return h.name == api.host; });
  if (!known && !api.address.empty()) lines += fmt::format("{} {}\n", api.address, api.host);
  return {inventory_script(context, all), inventory_table(context, all), {.path = "hosts", .content = lines}};
}

Extra script_run(std::string_view steps) {
  return script(
      "run.sh",
      "From the operator's machine: copies this folder to every host and runs each script on its group of\n"
      "hosts, in order. Usage: run.sh [STEP...]; without a step all of them. It may be run again.",
      std::string(kRunHead) + std::string(steps));
}

void add_host_base(const Context& context, const std::vector<Host>& all, Part& part) {
  for (Extra& e : inventory(context, all)) part.extras.push_back(std::move(e));
  for (Extra& e : host_files(context, all)) part.extras.push_back(std::move(e));
  part.extras.push_back(script_library());
  part.extras.push_back(script_prepare());
}

}  // namespace tg::render
