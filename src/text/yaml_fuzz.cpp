// Any bytes as a YAML file: no crash, no bound crossed, keys distinct, every problem has a place.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string_view>

#include "text/yaml.hpp"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

std::size_t check(const tg::text::Node& n, int depth, const tg::text::YamlLimits& limits) {
  require(n.start.line >= 1 && n.start.column >= 1);
  std::size_t nodes = 1;
  if (n.kind != tg::text::Node::Kind::scalar) require(depth < limits.depth);
  for (const auto& item : n.items) nodes += check(item, depth + 1, limits);
  std::set<std::string_view> keys;
  for (const auto& m : n.members) {
    require(keys.insert(m.key).second);
    nodes += check(m.value, depth + 1, limits);
  }
  (void)resolve(n);
  (void)describe(n);
  return nodes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tg::text::YamlLimits limits;
  limits.nodes = 5000;
  limits.alias_nodes = 500;
  const auto file = tg::text::parse_yaml({reinterpret_cast<const char*>(data), size}, limits);
  std::size_t nodes = 0;
  for (const auto& d : file.documents) nodes += check(d, 0, limits);
  require(nodes <= limits.nodes);
  for (const auto& p : file.problems)
    require(p.at.line >= 1 && p.at.column >= 1 && !p.code.empty() && !p.message.empty());
  return 0;
}
