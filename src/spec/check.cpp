#include "spec/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>

#include "spec/value.hpp"
#include "spec/value_cluster.hpp"
#include "text/suggest.hpp"

namespace tg::spec {

namespace {

using text::Mark;
using text::Node;
using text::ScalarType;

class Walk {
 public:
  Walk(DocumentKind kind, Purpose purpose, const std::vector<std::string>& files, std::vector<Finding>& out)
      : kind_(kind), purpose_(purpose), files_(files), out_(out) {}

  // `table` is the path in the table ("spec.to[]"), `where` in this document ("spec.to[1]").
  void map(Node& node, std::string_view table, const std::string& where) {
    const auto& known = children(kind_, table);
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
    if (partial_) return;
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
  void add(std::string_view code, Mark at, const std::string& path, std::string message,
           std::string hint = {}) {
    out_.push_back({std::string(code),
                    Severity::error,
                    {file(at), at.line, at.column},
                    path,
                    std::move(message),
                    std::move(hint)});
  }

  static std::string example_of(const Field& f) {
    return f.path == "spec.to" ? "[{model: NAME}]" : std::string(example(f.type));
  }

  std::string file(Mark at) const {
    const auto index = static_cast<std::size_t>(at.source);
    return index < files_.size() ? files_[index] : std::string();
  }

  bool acts(const Field& f) const { return !f.planned || (f.platform && purpose_ == Purpose::platform); }

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
        if (f.leaf() == member.key && acts(f)) {
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
    if (!acts(f)) {
      add("not_supported_yet", key, path, fmt::format("not supported yet: {}", path),
          "remove it: this version would ignore it");
      return;
    }
    if (f.platform && purpose_ == Purpose::serve) return apart(f, node, key, path);
    if (partial_ && is_empty(node)) return;  // removes what the overlay lies on
    if (f.partial) {
      if (partial_) {
        add("unknown_field", key, path, fmt::format("{} cannot stand inside an overlay", path),
            "write it once, outside");
        return;
      }
      partial_ = true;
      by_type(f, node, path);
      partial_ = false;
      return;
    }
    by_type(f, node, path);
  }

  // A field that only rendering acts on, in a document that is served: it is read all the same, so that a
  // wrong one shows, and said once. Documents that are for rendering as a whole are left to it.
  void apart(const Field& f, Node& node, Mark key, const std::string& path) {
    if (f.path == "spec") return;
    purpose_ = Purpose::platform;
    by_type(f, node, path);
    purpose_ = Purpose::serve;
    add("cluster_only", key, path,
        fmt::format("{} acts in a rendered platform only, nothing here follows it", path),
        "keep it for `tidegate render`, or remove it");
    out_.back().severity = Severity::warning;
  }

  void by_type(const Field& f, Node& node, const std::string& path) {
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
      case Type::map:
        return named(f, node, path);
      case Type::text_map:
        return text_map(f, node, path);
      case Type::resources:
        return resources(f, node, path);
      case Type::count:
        return count(f, node, path);
      case Type::secret_ref:
        return secret_ref(f, node, path);
      case Type::given:
        return given(f, node, path);
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
    const auto& members = children(kind_, f.path);
    std::vector<std::string_view> names;
    for (const Field* m : members) {
      if (acts(*m)) names.push_back(m->leaf());
    }
    if (f.type == Type::secret && node.kind == Node::Kind::scalar && !is_empty(node)) {
      add("secret_in_document", node.start, path,
          fmt::format("{} must name where the secret stands, not hold it", path),
          "write {env: VARIABLE} or {file: PATH}; take the secret out of the file and change it");
      return;
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
          partial_ || node.members[0].at.source != node.members[1].at.source
              ? fmt::format("write {}: null in the later file", node.members[0].key)
              : "remove one of them");
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
    if (node.items.empty() && (f.required || (f.type == Type::text_list && !f.platform))) {
      add("empty_value", node.start, path, fmt::format("{} is empty", path),
          f.required ? fmt::format("write {}: [NAME]", f.leaf()) : "remove it");
    }
    Field entry = f;
    entry.type = f.type == Type::names ? Type::model_name : f.item.value_or(Type::text);
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

  // True if the node is a map; else there is a finding.
  bool is_map(const Field& f, const Node& node, const std::string& path) {
    if (node.kind == Node::Kind::mapping) return true;
    if (is_empty(node)) {
      add("empty_value", node.start, path, fmt::format("{} has no value", path),
          fmt::format("write {}: {}, or remove it", f.leaf(), example(f.type)));
    } else {
      add("wrong_type", node.start, path,
          fmt::format("{} must be {}, is {}", path, type_name(f.type), describe(node)),
          fmt::format("write {}: {}", f.leaf(), example(f.type)));
    }
    return false;
  }

  void key(Type keys, const text::Member& member, const std::string& path) {
    if (auto read = read_key(keys, member.key); !read) {
      add("bad_key", member.at, path, fmt::format("{}: {}", path, read.error().message),
          std::move(read.error().hint));
    }
  }

  void named(const Field& f, Node& node, const std::string& path) {
    if (!is_map(f, node, path)) return;
    const auto& rows = children(kind_, f.path);
    if (rows.empty()) return;
    for (text::Member& member : node.members) {
      const std::string at = fmt::format("{}.{}", path, member.key);
      key(f.keys, member, at);
      const Field& row = *rows.front();
      // A thing about which nothing needs to be said: `classes: {fast: }` has no kind, but `targets: {a: }`
      // is complete.
      if (!partial_ && row.type == Type::object && is_empty(member.value))
        member.value.kind = Node::Kind::mapping;
      value(row, member.value, member.at, at);
    }
  }

  void text_map(const Field& f, const Node& node, const std::string& path) {
    if (!is_map(f, node, path)) return;
    Field entry = f;
    entry.type = f.item.value_or(Type::text);
    entry.fallback = {};
    for (const text::Member& member : node.members) {
      const std::string at = fmt::format("{}.{}", path, member.key);
      key(f.keys, member, at);
      if (partial_ && is_empty(member.value)) continue;
      scalar(entry, member.value, at);
    }
  }

  void resources(const Field& f, const Node& node, const std::string& path) {
    if (!is_map(f, node, path)) return;
    Field entry = f;
    entry.type = Type::quantity;
    entry.fallback = {};
    for (const text::Member& member : node.members) {
      const std::string at = fmt::format("{}.{}", path, member.key);
      key(Type::qualified, member, at);
      if (partial_ && is_empty(member.value)) continue;
      // `memory: 512m` is half a byte, `cpu: 500` is a rack: both are slips for another unit.
      const bool bytes = member.key.starts_with("memory") || member.key.ends_with("storage");
      const bool share = f.item == Type::percent && member.value.text.ends_with('%');
      entry.type = share ? Type::percent : Type::quantity;
      entry.min = share || !bytes ? 0 : kSmallestMemory;
      entry.max = share ? 1 : member.key == "cpu" ? kMostCores : kNoBound;
      scalar(entry, member.value, at);
    }
  }

  void count(const Field& f, Node& node, const std::string& path) {
    if (node.kind != Node::Kind::mapping) {
      add("wrong_type", node.start, path,
          fmt::format("{} must be {}, is {}", path, type_name(f.type), describe(node)),
          fmt::format("write {}: 3, or {}: {{min: 1, max: 3}}", f.leaf(), f.leaf()));
      return;
    }
    const std::size_t before = out_.size();
    map(node, f.path, path);
    const Node* low = node.find("min");
    const Node* high = node.find("max");
    if (partial_ || out_.size() != before) return;
    if (low == nullptr || high == nullptr) {
      add("missing_field", node.start, path,
          fmt::format("{}.{} is missing", path, low == nullptr ? "min" : "max"),
          fmt::format("write {}: {{min: 1, max: 3}}, or one number for both", f.leaf()));
      return;
    }
    const auto least = read_value(row(f, "min"), *low);
    const auto most = read_value(row(f, "max"), *high);
    if (least && most && least->integer > most->integer) {
      add("out_of_range", low->start, path + ".min",
          fmt::format("{0}.min {1} is above {0}.max {2}", path, least->text, most->text),
          fmt::format("write max: {}, or a smaller min", least->text));
    }
  }

  const Field& row(const Field& f, std::string_view leaf) const {
    for (const Field* m : children(kind_, f.path)) {
      if (m->leaf() == leaf) return *m;
    }
    return f;
  }
  const Field& row(Field&& f, std::string_view leaf) const = delete;  // would dangle

  void secret_ref(const Field& f, const Node& node, const std::string& path) {
    static constexpr std::string_view kForms =
        "write {secretRef: NAME}, {env: VARIABLE}, {file: PATH} or {vault: PATH}";
    if (node.kind == Node::Kind::scalar && !is_empty(node)) {
      add("secret_in_document", node.start, path,
          fmt::format("{} must name where the secret stands, not hold it", path),
          std::string(kForms) + "; take the secret out of the file and change it");
      return;
    }
    if (!is_map(f, node, path)) return;
    if (node.members.size() != 1) {
      add(node.members.empty() ? "empty_value" : "one_of",
          node.members.empty() ? node.start : node.members[1].at, path,
          node.members.empty() ? fmt::format("{} is empty", path) : fmt::format("{} names two places", path),
          std::string(kForms));
      return;
    }
    const text::Member& only = node.members.front();
    const std::string at = fmt::format("{}.{}", path, only.key);
    if (only.key == "secretRef") return secret_name(only.value, at);
    if (only.key == "env") return text_of(Type::variable, only.value, at);
    if (only.key == "file" || only.key == "vault") return text_of(Type::text, only.value, at);
    static constexpr std::array<std::string_view, 4> kKnown{"secretRef", "env", "file", "vault"};
    std::string hint = text::did_you_mean(only.key, kKnown);
    add("unknown_field", only.at, at, fmt::format("{} is no place of a secret", at),
        hint.empty() ? std::string(kForms) : std::move(hint));
  }

  void secret_name(const Node& node, const std::string& path) {
    if (node.kind != Node::Kind::mapping) {
      add("wrong_type", node.start, path, fmt::format("{} must name a Secret, is {}", path, describe(node)),
          "write {secretRef: NAME} or {secretRef: {name: NAME, key: KEY}}");
      return;
    }
    bool named = false;
    for (const text::Member& m : node.members) {
      const std::string at = fmt::format("{}.{}", path, m.key);
      if (m.key == "name") {
        named = true;
        text_of(Type::dotted, m.value, at);
      } else if (m.key == "key") {
        text_of(Type::text, m.value, at);
        if (m.value.kind == Node::Kind::scalar && !is_empty(m.value) && !is_secret_key(m.value.text))
          add("bad_value", m.value.start, at,
              fmt::format("{}: '{}' is not a key of a Secret", at, m.value.text),
              "use letters, digits, - _ and .");
      } else {
        add("unknown_field", m.at, at, fmt::format("{} is not a field of a secret's place", at),
            "possible are name and key");
      }
    }
    if (!named)
      add("missing_field", node.start, path + ".name", fmt::format("{}.name is missing", path),
          "add name: the name of the Secret");
  }

  void text_of(Type type, const Node& node, const std::string& path) {
    scalar(Field{.path = "value", .type = type}, node, path);
  }

  void given(const Field& f, const Node& node, const std::string& path) {
    if (node.kind != Node::Kind::mapping) {
      Field entry = f;
      entry.type = f.item.value_or(Type::text);
      return scalar(entry, node, path);
    }
    if (node.members.size() == 1 && node.members.front().key == "env")
      return text_of(Type::variable, node.members.front().value, path + ".env");
    add("wrong_type", node.start, path, fmt::format("{} must be text or {{env: NAME}}", path),
        fmt::format("write {}: {{env: NAME}}", f.leaf()));
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
    for (const Field* m : children(kind_, table)) {
      if (acts(*m)) names.push_back(m->leaf());
    }
    return names.empty() ? "write {}" : "possible are " + text::join_words(names);
  }

  static bool is_empty(const Node& node) {
    return node.kind == Node::Kind::scalar && resolve(node) == ScalarType::null;
  }

  static constexpr double kSmallestMemory = 1024.0 * 1024.0;
  static constexpr double kMostCores = 1024;

  DocumentKind kind_;
  Purpose purpose_;
  const std::vector<std::string>& files_;
  std::vector<Finding>& out_;
  bool partial_ = false;
};

}  // namespace

void check_document(DocumentKind kind, Purpose purpose, const std::vector<std::string>& files,
                    text::Node& document, std::vector<Finding>& out) {
  Walk(kind, purpose, files, out).map(document, "", "");
}

}  // namespace tg::spec
