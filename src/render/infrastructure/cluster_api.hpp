// A cluster that another one manages by Cluster API. The managing cluster is made here as well: kind, Rancher
// with its Turtles, and what makes Rancher reachable.
#pragma once

#include <string>
#include <vector>

#include "render/parts.hpp"

namespace tg::render {

// Ports of this machine that lead into the platform (access.forward): portforward.sh. On any infrastructure.
std::vector<Part> forward(const Context&);
// A collector: its scripts make the Secrets that all parts need.
std::vector<Part> cluster_api(const Context&, const std::vector<Part>&);

// ClusterClass and its templates, Cluster, and how Calico gets in. All in the namespace of the cluster.
std::vector<Json> cluster_class(const Context&);
std::vector<Json> workload_cluster(const Context&);
std::string cluster_class_name(const Context&);
// Roles and Deployment of the autoscaler, which runs in the managing cluster. Empty if nobody scales nodes.
std::vector<Json> cluster_autoscaler(const Context&);

// deploy_infra.sh with the functions that it needs.
std::vector<Extra> cluster_api_scripts(const Context&, const Part& infrastructure, const std::vector<Part>&);

// Where the kubeconfig of the workload cluster is written, beside the scripts.
std::string workload_kubeconfig(const Context&);

}  // namespace tg::render
