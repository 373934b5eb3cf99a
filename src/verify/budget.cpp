// Profile small: everything runs on one machine, or a few, of some GiB. All requests are added up; what does
// not fit is told with what could be dropped.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "catalog/sizes.hpp"
#include "verify/facts.hpp"

namespace tg::verify {

namespace {

constexpr double kMi = 1024.0 * 1024.0;
constexpr double kSmallestModel = 256 * kMi;  // below it no model of use fits

std::string mib(double bytes) { return fmt::format("{:.0f} MiB", bytes / kMi); }

// Memory of each component and program, largest first.
struct Entry {
  std::string name;
  double memory = 0;
  bool droppable = false;  // a platform works without it
};

double memory_of(const Pods& p, const Subject& s) {
  const auto profile = s.small() ? catalog::Profile::small : catalog::Profile::standard;
  const auto of = [profile](const char* component, const char* workload) {
    const catalog::Size& size = catalog::size(component, workload, profile);
    return amounts({{"memory", std::string(size.memory_request)}}).memory;
  };
  const bool data = p.what.starts_with("the data");
  double one = p.needs.memory;
  if (one <= 0) one = data ? of("data", "postgresql") : of("serving", "ollama");
  // What measures a database stands beside it.
  if (data && s.use("metrics") == "prometheus") one += of("data", "exporter");
  return one * std::max(p.min, 1.0);
}

std::vector<Entry> entries(const Subject& s, const std::vector<Pods>& programs, double node_count) {
  std::map<std::string, double> components;
  for (const Share& part : parts(s, node_count)) components[part.component] += part.needs.memory;
  std::vector<Entry> out;
  for (const auto& [name, memory] : components) {
    const bool needed = name == "k3s" || name == "storage" || name == "metrics-server" || name == "network" ||
                        name == "certificates" || name == "gateway";
    out.push_back({"components." + name, memory, !needed});
  }
  double models = 0;
  std::string model;
  for (const Pods& p : programs) {
    const double memory = memory_of(p, s);
    // One Ollama holds all its Models, one at a time.
    if (p.what.starts_with("the Model") && s.use("serving") == "ollama") {
      if (memory > models) model = p.what;
      models = std::max(models, memory);
      continue;
    }
    out.push_back({p.what, memory, p.what.starts_with("the app")});
  }
  if (models > 0) out.push_back({model, models, false});
  std::sort(out.begin(), out.end(), [](const Entry& a, const Entry& b) { return a.memory > b.memory; });
  return out;
}

// The fewest parts whose going frees `missing`, the largest first; then one that alone is enough, if smaller.
std::string what_to_drop(const std::vector<Entry>& all, double missing, const Entry* model) {
  std::vector<std::string> drop;
  double freed = 0;
  for (const Entry& e : all) {
    if (!e.droppable || freed >= missing) continue;
    freed += e.memory;
    drop.push_back(fmt::format("{} ({})", e.name, mib(e.memory)));
  }
  // Where all of the model would have to go, a smaller one is no way out.
  const bool can_shrink = model != nullptr && model->memory - missing >= kSmallestModel;
  std::string smaller =
      can_shrink ? fmt::format("choose a model of {} or less", mib(model->memory - missing)) : std::string();
  if (freed < missing) {
    if (can_shrink) return smaller;
    return "take a larger machine: even without every part that can go it does not fit";
  }
  return fmt::format("drop {}{}{}", fmt::join(drop, ", "), smaller.empty() ? "" : ", or ", smaller);
}

}  // namespace

void check_budget(const Subject& s, Report& report) {
  if (!s.small()) return;
  const std::vector<Nodes> all = nodes(s);
  Amounts have;
  double count = 0;
  for (const Nodes& n : all) {
    if (!n.known) return;
    have += n.left * n.max;
    count += n.max;
  }
  if (count <= 0) return;
  const std::vector<Pods> every = programs(s);
  const std::vector<Entry> sums = entries(s, every, count);
  double need = 0;
  const Entry* model = nullptr;
  for (const Entry& e : sums) {
    need += e.memory;
    if (e.name.starts_with("the Model") && model == nullptr) model = &e;
  }
  if (need <= have.memory) return;
  // Where the largest program asks for it, else at the hosts.
  std::vector<std::string> list;
  for (std::size_t i = 0; i < std::min<std::size_t>(sums.size(), 6); ++i)
    list.push_back(fmt::format("{} {}", sums[i].name, mib(sums[i].memory)));
  const std::string message = fmt::format(
      "the requests sum up to {}, and {} leave{} {} to pods: {} too much ({}{})", mib(need),
      count > 1 ? fmt::format("{:.0f} nodes", count) : "the node " + all.front().name, count > 1 ? "" : "s",
      mib(have.memory), mib(need - have.memory), fmt::join(list, ", "), sums.size() > 6 ? ", …" : "");
  const std::string hint = what_to_drop(sums, need - have.memory, model);
  for (const Pods& p : every) {
    if (model == nullptr || p.what != model->name) continue;
    report.error(p.reader, p.reader.has("resources.requests.memory") ? "resources.requests.memory" : "source",
                 "does_not_fit", message, hint);
    return;
  }
  report.error(s.spec, s.hosts() ? "infrastructure." + s.site + ".hosts" : "pools", "does_not_fit", message,
               hint);
}

}  // namespace tg::verify
