#include "spec/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "spec/value.hpp"
#include "text/suggest.hpp"

namespace tg::spec {

namespace {

using text::Mark;
using text::Node;
using text::ScalarType;

// The table of one kind as parent → fields below it, built once per document: the walk asks for it at every
// map.
using Index = std::unordered_map<std::string_view, std::vector<const Field*>>;

Index index_of(DocumentKind kind) {
  Index index;
  for (const Field& f : fields(kind)) index[f.parent()].push_back(&f);
  return index;
}

class Walk {
 public:
  Walk(DocumentKind kind, const std::string& file, std::vector<Finding>& out)
      : kind_(kind), file_(file), out_(out), index_(index_of(kind)) {}

  // `table` is the path in the table ("spec.to[]"), `where` in this document ("spec.to[1]").
  void map(Node& node, std::string_view table, const std::string& where) {
    const auto& known = below(table);
    for (auto& member : node.members) {
      const std::string path = where.empty() ? member.key : where + "." + member.key;
      const auto it =
          std::find_if(known.begin(), known.end(), [&](const Field* f) { return f->leaf() == member.key; });
      if (it == known.end()) {
        unknown(member, path, known);
      } else {
        value(**it, member.value, member.at, path);
      }
    }
    for (const Field* f : known) {
      if (f->required && node.find(f->leaf()) == nullptr) {
        const std::string path =
            where.empty() ? std::string(f->path) : fmt::format("{}.{}", where, f->leaf());
        add("missing_field", node.start, path, fmt::format("{} is missing", path),
            fmt::format("add {}: {}", f->leaf(), example_of(*f)));
      }
    }
  }

 private:
  const std::vector<const Field*>& below(std::string_view table) const {
    static const std::vector<const Field*> none;
    const auto it = index_.find(table);
    return it == index_.end() ? none : it->second;
  }

  void add(std::string_view code, Mark at, const std::string& path, std::string message,
           std::string hint = {}) {
    out_.push_back({std::string(code),
                    Severity::error,
                    {file_, at.line, at.column},
                    path,
                    std::move(message),
                    std::move(hint)});
  }

  static std::string example_of(const Field& f) {
    return f.path == "spec.to" ? "[{model: NAME}]" : std::string(example(f.type));
  }

  void unknown(const text::Member& member, const std::string& path, const std::vector<const Field*>& known) {
    if (member.key == "<<") {
      add("unknown_field", member.at, path, "merge keys (<<) are not part of YAML 1.2",
          "write the fields out, or use an alias for a whole value");
      return;
    }
    std::vector<std::string_view> names;
    names.reserve(known.size());
    for (const Field* f : known) names.push_back(f->leaf());
    std::string hint = text::did_you_mean(member.key, names);
    if (hint.empty()) {
      // The right name at the wrong place is the commonest of the other mistakes.
      for (const Field& f : fields(kind_)) {
        if (f.leaf() == member.key && !f.planned) {
          hint = fmt::format("its place is {}", f.path);
          break;
        }
      }
    }
    if (hint.empty())
      hint = names.empty() ? "nothing can stand here" : "possible are " + text::join_words(names);
    add("unknown_field", member.at, path, fmt::format("{} is not a field of {}", path, kind_name(kind_)),
        std::move(hint));
  }

  void value(const Field& f, Node& node, Mark key, const std::string& path) {
    if (f.planned) {
      add("not_supported_yet", key, path, fmt::format("not supported yet: {}", path),
          "remove it: this version would ignore it");
      return;
    }
    switch (f.type) {
      case Type::any:
        return;
      case Type::object:
        return object(f, node, path);
      case Type::one_of:
      case Type::secret:
        return one_of(f, node, path);
      case Type::object_list:
        return object_list(f, node, path);
      case Type::names:
      case Type::text_list:
        return text_list(f, node, path);
      default:
        scalar(f, node, path);
    }
  }

  void object(const Field& f, Node& node, const std::string& path) {
    if (node.kind == Node::Kind::mapping) return map(node, f.path, path);
    if (is_empty(node)) {
      add("empty_value", node.start, path, fmt::format("{} has no value", path),
          "indent its fields below it, or remove it");
      return;
    }
    add("wrong_type", node.start, path, fmt::format("{} must be a map, is {}", path, describe(node)),
        fields_hint(f.path));
  }

  void one_of(const Field& f, Node& node, const std::string& path) {
    const auto& members = below(f.path);
    std::vector<std::string_view> names;
    for (const Field* m : members) {
      if (!m->planned) names.push_back(m->leaf());
    }
    if (f.type == Type::secret && node.kind == Node::Kind::scalar && !is_empty(node)) {
      add("secret_in_document", node.start, path,
          fmt::format("{} must name where the secret stands, not hold it", path),
          "write {env: VARIABLE} or {file: PATH}; take the secret out of the file and change it");
      return;
    }
    if (node.kind == Node::Kind::scalar && !is_empty(node)) {
      // `engine: simulated` is `engine: {simulated: {}}`.
      Node inner;
      inner.kind = Node::Kind::mapping;
      inner.start = node.start;
      inner.end = node.end;
      text::Member member{node.text, node.start, std::move(inner)};
      node.kind = Node::Kind::mapping;
      node.text.clear();
      node.members.push_back(std::move(member));
    }
    if (node.kind != Node::Kind::mapping || node.members.empty()) {
      add("wrong_type", node.start, path,
          fmt::format("{} must have one of {}", path, text::join_words(names, "or")),
          fmt::format("write {}: {{{}: …}}", f.leaf(), names.front()));
      return;
    }
    if (node.members.size() > 1) {
      add("one_of", node.members[1].at, path,
          fmt::format("{} holds {} and {}, only one is possible", path, node.members[0].key,
                      node.members[1].key),
          "remove one of them");
      return;
    }
    text::Member& only = node.members.front();
    const auto it =
        std::find_if(members.begin(), members.end(), [&](const Field* m) { return m->leaf() == only.key; });
    if (it != members.end() && (*it)->type == Type::object && is_empty(only.value))
      only.value.kind = Node::Kind::mapping;
    map(node, f.path, path);
  }

  void object_list(const Field& f, Node& node, const std::string& path) {
    if (node.kind != Node::Kind::sequence) {
      add("wrong_type", node.start, path,
          fmt::format("{} must be a list of maps, is {}", path, describe(node)),
          fmt::format("write {}: [{{…}}]", f.leaf()));
      return;
    }
    if (node.items.empty() && f.required)
      add("empty_value", node.start, path, fmt::format("{} is empty", path),
          fmt::format("write {}: {}", f.leaf(), example_of(f)));
    const std::string table = std::string(f.path) + "[]";
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const std::string entry = fmt::format("{}[{}]", path, i);
      if (node.items[i].kind == Node::Kind::mapping) {
        map(node.items[i], table, entry);
      } else {
        add("wrong_type", node.items[i].start, entry,
            fmt::format("{} must be a map, is {}", entry, describe(node.items[i])), fields_hint(table));
      }
    }
  }

  void text_list(const Field& f, Node& node, const std::string& path) {
    if (node.kind != Node::Kind::sequence) {
      add("wrong_type", node.start, path,
          fmt::format("{} must be {}, is {}", path, type_name(f.type), describe(node)),
          node.kind == Node::Kind::scalar && !is_empty(node)
              ? fmt::format("write {}: [{}]", f.leaf(), node.text)
              : fmt::format("write {}: [NAME]", f.leaf()));
      return;
    }
    if (node.items.empty() && (f.required || f.type == Type::text_list)) {
      add("empty_value", node.start, path, fmt::format("{} is empty", path),
          f.required ? fmt::format("write {}: [NAME]", f.leaf()) : "remove it");
    }
    Field entry = f;
    entry.type = f.type == Type::names ? Type::model_name : Type::text;
    entry.fallback = {};
    std::unordered_map<std::string_view, Mark> seen;
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const std::string at = fmt::format("{}[{}]", path, i);
      scalar(entry, node.items[i], at);
      if (f.type != Type::names) continue;
      const auto [first, fresh] = seen.emplace(node.items[i].text, node.items[i].start);
      if (!fresh && node.items[i].kind == Node::Kind::scalar) {
        add("duplicate_name", node.items[i].start, at,
            fmt::format("{} is in the list twice, first at line {} column {}", node.items[i].text,
                        first->second.line, first->second.column),
            "remove one of them");
      }
    }
  }

  void scalar(const Field& f, const Node& node, const std::string& path) {
    auto read = read_value(f, node);
    if (read) return;
    Error& e = read.error();
    const bool whole = e.code == "not_supported_yet";  // the message has the path in it already
    add(e.code, node.start, path, whole ? e.message : fmt::format("{}: {}", path, e.message),
        std::move(e.hint));
  }

  std::string fields_hint(std::string_view table) const {
    std::vector<std::string_view> names;
    for (const Field* m : below(table)) {
      if (!m->planned) names.push_back(m->leaf());
    }
    return names.empty() ? "write {}" : "possible are " + text::join_words(names);
  }

  static bool is_empty(const Node& node) {
    return node.kind == Node::Kind::scalar && resolve(node) == ScalarType::null;
  }

  DocumentKind kind_;
  const std::string& file_;
  std::vector<Finding>& out_;
  Index index_;
};

}  // namespace

void check_document(DocumentKind kind, const std::string& file, text::Node& document,
                    std::vector<Finding>& out) {
  Walk(kind, file, out).map(document, "", "");
}

}  // namespace tg::spec
