// The kinds of the Gateway API, before everybody who asks for them when it starts: cert-manager, the gateway.
#include "render/component/components.hpp"

namespace tg::render {

namespace {

const std::vector<std::string>& kinds() {
  static const std::vector<std::string> names{"gatewayclasses.gateway.networking.k8s.io",
                                              "gateways.gateway.networking.k8s.io",
                                              "httproutes.gateway.networking.k8s.io"};
  return names;
}

}  // namespace

bool gateway_api(const Context& context) {
  return context.has("gateway") && context.use("gateway") != "ingress-nginx";
}

// Who hands everything on to a controller lets the gateway's own chart bring them, before cert-manager.
bool gateway_first(const Context& context) {
  return gateway_api(context) && context.spec().text("delivery.gitops.use") != "none";
}

std::vector<Part> gateway_crds(const Context& context) {
  if (!gateway_api(context) || gateway_first(context)) return {};
  Part part = component("gateway-crds");
  if (context.use("gateway") == "envoy-gateway") {
    Definitions own{.chart = "gateway-helm", .wait_for = kinds()};
    own.wait_for.emplace_back("envoyproxies.gateway.envoyproxy.io");
    part.definitions.push_back(std::move(own));
  } else if (context.site() == Site::k3s) {
    // Its Traefik brings them, some time after the first start.
    for (const std::string& name : kinds())
      part.steps.push_back({.kind = "wait", .what = "crd/" + name + " Established", .timeout = "10m"});
  } else {
    part.definitions.push_back(
        {.chart = "gateway-crds-helm",
         .among_templates = true,
         .settings = {"crds.gatewayAPI.enabled=true", "crds.gatewayAPI.channel=standard"},
         .wait_for = kinds()});
  }
  return {std::move(part)};
}

}  // namespace tg::render
