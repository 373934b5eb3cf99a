#include "spec/normalise.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace tg::spec {

namespace {

using text::Member;
using text::Node;
using text::ScalarType;

bool is_text_or_number(const Node& node) {
  return node.kind == Node::Kind::scalar && resolve(node) != ScalarType::null;
}

// `value` becomes `{name: value}`.
void wrap(Node& node, std::string_view name) {
  Node inner = std::move(node);
  node = Node{};
  node.kind = Node::Kind::mapping;
  node.start = inner.start;
  node.end = inner.end;
  node.members.push_back({std::string(name), inner.start, std::move(inner)});
}

const Field* row_of(DocumentKind kind, std::string_view table, std::string_view key) {
  for (const Field* f : children(kind, table)) {
    if (f->leaf() == key || f->leaf() == "*") return f;
  }
  return nullptr;
}

class Writer {
 public:
  explicit Writer(DocumentKind kind) : kind_(kind) {}

  void map(Node& node, std::string_view table) {
    for (Member& member : node.members) {
      if (const Field* f = row_of(kind_, table, member.key)) value(*f, member.value);
    }
  }

 private:
  void value(const Field& f, Node& node) {
    if (!f.shorthand.empty() && f.shorthand != "[]" && is_text_or_number(node)) wrap(node, f.shorthand);
    switch (f.type) {
      case Type::count:
        return count(node);
      case Type::secret_ref:
        return secret(node);
      case Type::one_of:
        if (is_text_or_number(node)) name_to_union(node);
        break;
      case Type::text_list:
        if (f.shorthand == "[]" && is_text_or_number(node)) {
          Node entry = std::move(node);
          node = Node{};
          node.kind = Node::Kind::sequence;
          node.start = entry.start;
          node.end = entry.end;
          node.items.push_back(std::move(entry));
        }
        return;
      case Type::object_list:
        for (Node& item : node.items) {
          if (item.kind == Node::Kind::mapping) map(item, inside(f));
        }
        return;
      default:
        break;
    }
    if (node.kind == Node::Kind::mapping) map(node, f.path);
  }

  // `engine: simulated` is `engine: {simulated: {}}`.
  static void name_to_union(Node& node) {
    Node inner;
    inner.kind = Node::Kind::mapping;
    inner.start = node.start;
    inner.end = node.end;
    Member member{node.text, node.start, std::move(inner)};
    node.kind = Node::Kind::mapping;
    node.text.clear();
    node.members.push_back(std::move(member));
  }

  // `3` is `{min: 3, max: 3}`.
  static void count(Node& node) {
    if (!is_text_or_number(node) || !node.plain || resolve(node) != ScalarType::integer) return;
    const Node number = node;
    wrap(node, "min");
    node.members.push_back({"max", number.start, number});
  }

  // `{secretRef: NAME}` is `{secretRef: {name: NAME}}`.
  static void secret(Node& node) {
    if (node.kind != Node::Kind::mapping || node.members.size() != 1) return;
    Member& only = node.members.front();
    if (only.key == "secretRef" && is_text_or_number(only.value)) wrap(only.value, "name");
  }

  DocumentKind kind_;
};

bool is_null(const Node& node) {
  return node.kind == Node::Kind::scalar && resolve(node) == ScalarType::null;
}

// Null in what is new has nothing to remove.
Node without_nulls(const Node& node) {
  Node out = node;
  std::erase_if(out.members, [](const Member& m) { return is_null(m.value); });
  for (Member& m : out.members) m.value = without_nulls(m.value);
  return out;
}

}  // namespace

void normalise(DocumentKind kind, Node& document) {
  if (document.kind == Node::Kind::mapping) Writer(kind).map(document, "");
}

void merge(DocumentKind kind, Node& base, const Node& patch, std::string_view table) {
  for (const Member& change : patch.members) {
    const auto it = std::find_if(base.members.begin(), base.members.end(),
                                 [&](const Member& m) { return m.key == change.key; });
    if (is_null(change.value)) {
      if (it != base.members.end()) base.members.erase(it);
      continue;
    }
    if (it == base.members.end()) {
      base.members.push_back({change.key, change.at, without_nulls(change.value)});
      continue;
    }
    const Field* f = row_of(kind, table, change.key);
    const bool one_thing =
        f != nullptr && (f->type == Type::secret || f->type == Type::secret_ref || f->type == Type::given);
    const bool maps = it->value.kind == Node::Kind::mapping && change.value.kind == Node::Kind::mapping;
    if (maps && !one_thing) {
      merge(kind, it->value, change.value, f == nullptr ? std::string() : inside(*f));
    } else {
      *it = {change.key, change.at, without_nulls(change.value)};
    }
  }
}

}  // namespace tg::spec
