#include "spec/usage.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace tg::spec {

namespace {

using text::Node;

class Search {
 public:
  Search(const Documents& documents, const Usage& usage, std::vector<Finding>& out)
      : documents_(documents), usage_(usage), out_(out) {}

  void node(const Node& at, const std::string& path) {
    if (at.kind == Node::Kind::mapping) {
      for (const text::Member& m : at.members) node(m.value, fmt::format("{}.{}", path, m.key));
      return;
    }
    // A list of maps is read entry by entry.
    const bool maps =
        at.kind == Node::Kind::sequence && !at.items.empty() && at.items.front().kind == Node::Kind::mapping;
    if (maps) {
      for (std::size_t i = 0; i < at.items.size(); ++i) node(at.items[i], fmt::format("{}[{}]", path, i));
      return;
    }
    if (usage_.contains(at)) return;
    out_.push_back({"nothing_renders", Severity::error, documents_.position(at.start), path,
                    fmt::format("{} changes nothing of what is rendered", path),
                    "remove it, or switch on the part that it belongs to"});
  }

 private:
  const Documents& documents_;
  const Usage& usage_;
  std::vector<Finding>& out_;
};

}  // namespace

void Usage::mark_all(const Node& node) {
  mark(node);
  for (const Node& item : node.items) mark_all(item);
  for (const text::Member& member : node.members) mark_all(member.value);
}

std::vector<Finding> unused(const Documents& documents, const Usage& usage,
                            const std::vector<DocumentKind>& kinds) {
  std::vector<Finding> out;
  Search search(documents, usage, out);
  for (const Document& d : documents.all) {
    if (std::find(kinds.begin(), kinds.end(), d.kind) == kinds.end()) continue;
    if (const Node* spec = d.node.find("spec")) search.node(*spec, "spec");
  }
  return out;
}

}  // namespace tg::spec
