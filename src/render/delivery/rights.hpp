// What the pipeline brings to the cluster, and the rights that this needs: both are read from the same parts,
// so that the one cannot be without the other.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "render/part.hpp"

namespace tg::render {

// What the pipeline does of one part, in the order of its commands.
struct Delivered {
  const Part* part = nullptr;  // of the parts given to delivered()
  std::vector<const Release*> releases{};
  std::vector<const Step*> charts{};  // charts of one's own
  std::vector<const Manifest*> manifests{};
  bool empty() const { return releases.empty() && charts.empty() && manifests.empty(); }
};

// Programs and their data: workloads, the models' serving and the chat. Each after what it needs. Left to the
// operators is what the pipeline must not be able to change: what grants rights, bounds what a namespace may
// take, closes it, or belongs to no namespace, and charts that make something of this kind.
std::vector<Delivered> delivered(const std::vector<Part>& parts);

// The kinds that these commands write, as rules of a Role for each namespace, and nothing else. Secrets are
// among them only where a chart is installed: helm keeps its releases there.
std::map<std::string, std::vector<Rule>> pipeline_rules(const std::vector<Delivered>& all);

}  // namespace tg::render
