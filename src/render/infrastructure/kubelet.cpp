#include "render/infrastructure/kubelet.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "spec/value_cluster.hpp"

namespace tg::render {

namespace {

struct Step {
  double up_to;  // cores or GiB
  double part;
};
constexpr std::array<Step, 4> kCores{{{1, 0.06}, {2, 0.01}, {4, 0.005}, {1e9, 0.0025}}};
constexpr std::array<Step, 5> kGibibytes{{{4, 0.25}, {8, 0.20}, {16, 0.10}, {128, 0.06}, {1e9, 0.02}}};

template <class Steps>
double sum(const Steps& steps, double amount) {
  double out = 0, from = 0;
  for (const Step& s : steps) {
    if (amount > from) out += (std::min(amount, s.up_to) - from) * s.part;
    from = s.up_to;
  }
  return out;
}

}  // namespace

Share kubelet_share(double cores, double bytes) {
  // A machine of which nothing is known is taken for one of two cores and 4 GiB.
  if (cores <= 0) cores = 2;
  if (bytes <= 0) bytes = 4.0 * 1024 * 1024 * 1024;
  return {static_cast<int>(sum(kCores, cores) * 1000 + 0.5),
          static_cast<int>(sum(kGibibytes, bytes / (1024.0 * 1024 * 1024)) * 1024 + 0.5)};
}

Json kubelet_configuration(const Context& context) {
  Json out{{"apiVersion", "kubelet.config.k8s.io/v1beta1"},
           {"kind", "KubeletConfiguration"},
           {"cgroupDriver", "systemd"},
           {"seccompDefault", true},
           {"protectKernelDefaults", true},
           {"readOnlyPort", 0},
           {"eventRecordQPS", 50},
           {"containerLogMaxSize", "20Mi"},
           {"containerLogMaxFiles", 5},
           {"imageGCHighThresholdPercent", 80},
           {"imageGCLowThresholdPercent", 70},
           // Pods get their grace at a restart too.
           {"shutdownGracePeriod", "60s"},
           {"shutdownGracePeriodCriticalPods", "20s"}};
  if (context.spec().text("cluster.swap") == "zram") {
    out["failSwapOn"] = false;
    out["memorySwap"] = {{"swapBehavior", "LimitedSwap"}};
  } else {
    out["failSwapOn"] = true;
  }
  return out;
}

Json kubelet_reserves(const Context& context, const Host& host) {
  // A pool's own words stand before those of the cluster, amount by amount.
  const auto read = [&](std::string_view what) {
    auto amounts = context.spec().quantities(fmt::format("cluster.reserve.{}", what));
    for (const auto& [name, p] : context.spec().named("pools")) {
      if (name != host.pool) continue;
      for (const auto& [key, amount] : p.quantities(fmt::format("reserve.{}", what)))
        amounts.insert_or_assign(key, amount);
    }
    return amounts;
  };
  auto system = read("system"), kubelet = read("kubelet"), eviction = read("eviction");
  const auto has = [&host](const char* what) {
    const auto it = host.resources.find(what);
    return it == host.resources.end() ? 0.0 : spec::parse_quantity(it->second).value_or(0.0);
  };
  const Share share = kubelet_share(has("cpu"), has("memory"));
  kubelet.emplace("cpu", fmt::format("{}m", share.millicores));
  kubelet.emplace("memory", fmt::format("{}Mi", share.mebibytes));
  // Small next to any machine that can be a node, enough for what runs beside pods.
  system.emplace("cpu", "100m");
  system.emplace("memory", "256Mi");
  // Naming one signal sets the others to nothing: all of them are written.
  eviction.emplace("memory.available", "100Mi");
  eviction.emplace("nodefs.available", "10%");
  eviction.emplace("nodefs.inodesFree", "5%");
  eviction.emplace("imagefs.available", "15%");
  eviction.emplace("imagefs.inodesFree", "5%");
  Json out{{"apiVersion", "kubelet.config.k8s.io/v1beta1"}, {"kind", "KubeletConfiguration"}};
  out["systemReserved"] = to_json(system);
  out["kubeReserved"] = to_json(kubelet);
  out["evictionHard"] = to_json(eviction);
  out["enforceNodeAllocatable"] = Json::array({"pods"});
  return out;
}

}  // namespace tg::render
