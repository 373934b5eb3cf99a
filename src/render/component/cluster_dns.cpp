#include "render/component/cluster_dns.hpp"

namespace tg::render {

ClusterDns cluster_dns(const Context& context) {
  // CCE names its CoreDNS otherwise and lets it listen on a port that needs no privilege.
  if (context.site() == Site::open_telekom_cloud) return {.pods = {{"k8s-app", "coredns"}}, .port = 5353};
  return {.pods = {{"k8s-app", "kube-dns"}}, .port = 53};
}

}  // namespace tg::render
