// Which parts of documents were read, so that a field which nothing renders is found. Used by one thread.
#pragma once

#include <set>
#include <tuple>
#include <vector>

#include "spec/documents.hpp"
#include "spec/finding.hpp"

namespace tg::spec {

// A part is known by its place in the files, so copies of a document (an environment's) count for it.
class Usage {
 public:
  void mark(const text::Node& node) { read_.insert(key(node)); }
  void mark_all(const text::Node& node);  // and everything below it
  bool contains(const text::Node& node) const { return read_.contains(key(node)); }

 private:
  using Key = std::tuple<int, int, int>;
  static Key key(const text::Node& node) { return {node.start.source, node.start.line, node.start.column}; }

  std::set<Key> read_;
};

// An error `nothing_renders` for each scalar and each list of the documents of `kinds` that a user wrote and
// that `usage` does not hold. Identity (apiVersion, kind, metadata) is left out.
std::vector<Finding> unused(const Documents& documents, const Usage& usage,
                            const std::vector<DocumentKind>& kinds = {DocumentKind::platform,
                                                                      DocumentKind::training_run});

}  // namespace tg::spec
