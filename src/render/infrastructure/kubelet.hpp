// Settings of kubelets of own machines. Pure.
#pragma once

#include "render/infrastructure/hosts.hpp"

namespace tg::render {

// KubeletConfiguration that every node has.
Json kubelet_configuration(const Context& context);
// What a node has of its own: reserves and eviction, from its pool, the cluster or its size. Values are
// texts, for a kubelet refuses numbers there.
Json kubelet_reserves(const Context& context, const Host& host);

// What kubelet and containerd of a machine need, growing slower than the machine: of each further piece a
// smaller part (as managed clusters reckon).
struct Share {
  int millicores = 0;
  int mebibytes = 0;
};
Share kubelet_share(double cores, double bytes);

}  // namespace tg::render
