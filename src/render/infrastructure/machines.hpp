// Machines that kubeadm sets up: the pieces of machines.cpp.
#pragma once

#include <string>
#include <vector>

#include "render/infrastructure/hosts.hpp"

namespace tg::render {

// kubernetes.sh, load-balancer.sh, first-control-plane.sh and so on, one for each group of hosts.
std::vector<Extra> machine_scripts();

// Settings of containerd, as a map for TOML.
Json containerd_config();
// Package sources of Kubernetes and containerd, and the releases that apt may take.
std::vector<Extra> package_sources(const Context& context);

// kubeadm.yaml of a host: what the first control plane begins with, or how another machine joins.
std::vector<Json> kubeadm_config(const Context& context, const std::vector<Host>& all, const Host& host);

// haproxy.cfg and one keepalived file for each load balancer, if they share an address.
std::vector<Extra> load_balancer_files(const Context& context, const std::vector<Host>& all);

// Snapshots and defragmentation of etcd and approval of kubelet certificates, as timers of the control
// planes. `timers` gets their units.
void add_control_plane_care(const Context& context, const std::vector<Host>& all, Part& part,
                            std::vector<std::string>& timers);

}  // namespace tg::render
