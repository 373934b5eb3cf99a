// Own machines of a platform: what the document says about each, and the files that every one of them gets.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render {

struct Host {
  std::string name{};  // also of the node
  std::string address{};
  std::string role{};  // load-balancer, control-plane, worker; of k3s server, agent
  std::string pool{};  // empty = none
  Labels resources{};  // what the machine has
  struct Disk {
    std::string storage_class{}, path{}, size{};
  };
  std::vector<Disk> disks{};
  bool node() const { return role != "load-balancer"; }
};

// Of infrastructure.machines or k3s, in the order of their names.
std::vector<Host> hosts(const Context& context);
// Taints of a pool: what is written, or that of GPUs.
std::vector<std::string> pool_taints(const Context& context, const std::string& pool);
std::vector<Host> with_role(const std::vector<Host>& all, std::string_view role);

// Where every machine finds the API server.
struct Endpoint {
  std::string host{};     // name or address
  std::string address{};  // of `host`, where it is known; empty = it is an address, or a resolver knows it
  int port = 6443;
  std::string text() const;
};
Endpoint endpoint(const Context& context, const std::vector<Host>& all);

// inventory.sh, inventory.yaml and hosts.
std::vector<Extra> inventory(const Context& context, const std::vector<Host>& all);
// run.sh: every script on its group of hosts, in order, from the operator's machine. `steps` is its body.
Extra script_run(std::string_view steps);

// The files below files/ that own machines of both kinds share: kernel settings, firewall, security updates,
// swap.
std::vector<Extra> host_files(const Context& context, const std::vector<Host>& all);
// Adds them, the library and prepare.sh to the part.
void add_host_base(const Context& context, const std::vector<Host>& all, Part& part);

// A file of settings, read by people too, with the line that says where it comes from.
Extra settings(std::string path, std::string_view why, std::string_view content);
Extra yaml_settings(std::string path, std::string_view why, const Json& value);

}  // namespace tg::render
