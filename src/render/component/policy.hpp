// What the engines of rules (Gatekeeper, Kyverno) are asked to enforce: the six rules, where they hold, and
// pods to try them on. Plain data.
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render {

enum class Demand : std::uint8_t { labels, registries, tags, limits, privilege, read_only_root };

// What each pod and each container that runs for long must say.
inline constexpr std::array<const char*, 2> kNeededLabels{"app.kubernetes.io/name",
                                                          "app.kubernetes.io/part-of"};
inline constexpr std::array<const char*, 1> kNeededLimits{"memory"};
inline constexpr std::array<const char*, 2> kNeededRequests{"cpu", "memory"};

struct PolicyRule {
  Demand demand{};
  const char* name = "";
  Json bad{};  // changes to a good pod, or to its container, that must be refused
  // Good manners more than safety: people who try things in their own namespace are told, not stopped.
  bool manners = false;
};

struct PolicyWork {
  std::vector<PolicyRule> rules{};
  std::vector<std::string> registries{};  // "registry.example.com/"; empty = any, and no rule about them
  // Of one's own programs. Empty: those that people make beside the platform's.
  std::vector<std::string> namespaces{};
  std::set<std::string> open{};  // of these, in which people make pods of their own
  bool enforce = true;
};

// One object of an engine: a rule, where it holds, and whether it refuses or only tells.
struct PolicyScope {
  std::string name{};
  std::vector<std::string> namespaces{};
  bool enforce = true;
};
std::vector<PolicyScope> policy_scopes(const PolicyWork& work, const PolicyRule& rule);
// LabelSelector of these namespaces; of none: neither those of Kubernetes nor those of the platform.
Json namespace_selector(const std::vector<std::string>& namespaces);

// A pod that all rules let pass, and what a rule must refuse.
Json good_pod(const PolicyWork& work);
Json bad_pod(const PolicyWork& work, const PolicyRule& rule);

// The engines. Each gives releases, objects, edges and a suite of cases for its own program.
Part gatekeeper(const Context& context, const PolicyWork& work);
Part kyverno(const Context& context, const PolicyWork& work);

}  // namespace tg::render
