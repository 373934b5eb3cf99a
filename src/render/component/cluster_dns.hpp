// The resolvers of the cluster in kube-system, which the distribution brings.
#pragma once

#include "render/context.hpp"

namespace tg::render {

struct ClusterDns {
  Labels pods;
  int port;  // on which the pods answer, which is what policies see; their Service has 53
};
ClusterDns cluster_dns(const Context&);

}  // namespace tg::render
