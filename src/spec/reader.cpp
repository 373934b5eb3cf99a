#include "spec/reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "spec/reads.hpp"

namespace tg::spec {

using text::Node;

const Field& Reader::field(std::string_view path) const {
  const std::string full = table_.empty() ? std::string(path) : fmt::format("{}.{}", table_, path);
  const Field* f = resolve_field(kind_, full);
  if (f == nullptr) {  // a fault of this program, not of the document: every test that decodes would hit it
    std::fprintf(stderr, "no field %s in the table of %s\n", full.c_str(),
                 std::string(kind_name(kind_)).c_str());
    std::abort();
  }
  return *f;
}

namespace {

// The member of `map` that `path` begins with, which is shortened. Names of hosts and resources have dots of
// their own, so the shortest key that is there counts.
const Node* child(const Node& map, std::string_view& path) {
  if (map.kind != Node::Kind::mapping) return nullptr;
  for (std::size_t dot = path.find('.');; dot = path.find('.', dot + 1)) {
    if (const Node* found = map.find(path.substr(0, dot))) {
      path = dot == std::string_view::npos ? std::string_view{} : path.substr(dot + 1);
      return found;
    }
    if (dot == std::string_view::npos) return nullptr;
  }
}

}  // namespace

const Node* Reader::find(std::string_view path) const {
  const Node* node = node_;
  while (node != nullptr && !path.empty()) node = child(*node, path);
  return node;
}

const Node* Reader::read(std::string_view path) const {
  const Node* node = find(path);
  if (usage_ != nullptr)
    usage_->mark(node != nullptr ? *node : absent_field(kind_, where(path), nearest(path)));
  return node;
}

Value Reader::value(std::string_view path) const {
  const Field& f = field(path);
  if (const Node* node = read(path)) {
    if (auto good = read_value(f, *node)) return std::move(*good);
  }
  return default_value(f);
}

double Reader::number(std::string_view path) const {
  const Type type = field(path).type;
  const Value v = value(path);
  return type == Type::integer || type == Type::bytes ? static_cast<double>(v.integer) : v.number;
}

double Reader::seconds(std::string_view path) const {
  return static_cast<double>(value(path).integer) / static_cast<double>(kSecond);
}

std::vector<std::string> Reader::list(std::string_view path) const {
  std::vector<std::string> out;
  for (auto& [word, at] : texts(path)) out.push_back(std::move(word));
  if (!out.empty() || has(path)) return out;
  // A default is written with commas.
  const Field& f = field(path);
  if (f.described || f.fallback == "none") return out;
  for (std::string_view rest = f.fallback; !rest.empty();) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    out.emplace_back(rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    while (rest.starts_with(' ')) rest.remove_prefix(1);
  }
  return out;
}

std::vector<Reader> Reader::entries(std::string_view path) const {
  const Field& f = field(path);
  std::vector<Reader> out;
  const Node* node = find(path);
  if (node == nullptr || node->kind != Node::Kind::sequence) return out;
  if (usage_ != nullptr) usage_->mark(*node);
  for (std::size_t i = 0; i < node->items.size(); ++i) {
    if (node->items[i].kind != Node::Kind::mapping) continue;
    out.emplace_back(kind_, *files_, node->items[i], usage_, inside(f),
                     fmt::format("{}[{}]", where(path), i));
  }
  return out;
}

std::vector<std::pair<std::string, Reader>> Reader::named(std::string_view path) const {
  const Field& f = field(path);
  std::vector<std::pair<std::string, Reader>> out;
  const Node* node = find(path);
  if (node == nullptr || node->kind != Node::Kind::mapping) return out;
  for (const text::Member& m : node->members) {
    out.emplace_back(m.key, Reader(kind_, *files_, m.value, usage_, fmt::format("{}.*", f.path),
                                   fmt::format("{}.{}", where(path), m.key)));
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return out;
}

std::map<std::string, std::string> Reader::texts_map(std::string_view path) const {
  static_cast<void>(field(path));
  std::map<std::string, std::string> out;
  const Node* node = read(path);
  if (node == nullptr || node->kind != Node::Kind::mapping) return out;
  if (usage_ != nullptr) usage_->mark_all(*node);
  for (const text::Member& m : node->members) {
    if (m.value.kind == Node::Kind::scalar) out.emplace(m.key, m.value.text);
  }
  return out;
}

std::map<std::string, std::string> Reader::quantities(std::string_view path) const {
  std::map<std::string, std::string> out = texts_map(path);
  const Field& f = field(path);
  if (has(path) || f.described) return out;
  // A default is written as "cpu: 8, memory: 32Gi".
  for (std::string_view rest = f.fallback; !rest.empty();) {
    const std::string_view entry = rest.substr(0, std::min(rest.find(", "), rest.size()));
    const std::size_t colon = entry.find(": ");
    if (colon != std::string_view::npos)
      out.emplace(std::string(entry.substr(0, colon)), std::string(entry.substr(colon + 2)));
    rest.remove_prefix(std::min(entry.size() + 2, rest.size()));
  }
  return out;
}

std::optional<SecretRef> Reader::secret(std::string_view path) const {
  static_cast<void>(field(path));
  const Node* node = read(path);
  if (node == nullptr || node->kind != Node::Kind::mapping || node->members.size() != 1) return std::nullopt;
  if (usage_ != nullptr) usage_->mark_all(*node);
  const text::Member& only = node->members.front();
  SecretRef out;
  out.at = position(node->start);
  if (only.key == "secretRef") {
    out.how = SecretRef::How::secret_ref;
    if (const Node* name = only.value.find("name")) out.name = name->text;
    if (const Node* key = only.value.find("key")) out.key = key->text;
  } else if (only.key == "env") {
    out.how = SecretRef::How::env;
    out.name = only.value.text;
  } else if (only.key == "file") {
    out.how = SecretRef::How::file;
    out.name = only.value.text;
  } else if (only.key == "vault") {
    out.how = SecretRef::How::vault;
    out.name = only.value.text;
  } else {
    return std::nullopt;
  }
  return out;
}

Given Reader::given(std::string_view path) const {
  const Node* node = find(path);
  if (node != nullptr && node->kind == Node::Kind::mapping) {
    if (usage_ != nullptr) usage_->mark_all(*node);
    const Node* env = node->find("env");
    return {{}, env == nullptr ? std::string() : env->text};
  }
  return {text(path), {}};
}

Reader Reader::sub(std::string_view path) const {
  static const Node empty = [] {
    Node node;
    node.kind = Node::Kind::mapping;
    return node;
  }();
  const Field& f = field(path);
  const Node* node = find(path);
  const bool map = node != nullptr && node->kind == Node::Kind::mapping;
  Reader out(kind_, *files_, map ? *node : empty, usage_, std::string(f.path), where(path));
  if (!map) out.place_ = nearest(path);
  return out;
}

std::vector<std::pair<std::string, text::Position>> Reader::texts(std::string_view path) const {
  Field entry = field(path);
  entry.type = entry.type == Type::names ? Type::model_name : entry.item.value_or(Type::text);
  std::vector<std::pair<std::string, text::Position>> out;
  const Node* node = read(path);
  if (node == nullptr || node->kind != Node::Kind::sequence) return out;
  if (usage_ != nullptr) usage_->mark_all(*node);
  for (const Node& item : node->items) {
    if (auto good = read_value(entry, item)) out.emplace_back(std::move(good->text), position(item.start));
  }
  return out;
}

std::string_view Reader::chosen(std::string_view path) const {
  const Field& f = field(path);
  const Node* node = find(path);
  if (node == nullptr || node->kind != Node::Kind::mapping || node->members.size() != 1) return {};
  for (const Field* m : children(kind_, f.path)) {
    if (m->leaf() == node->members.front().key) return m->leaf();
  }
  return {};
}

text::Mark Reader::nearest(std::string_view path) const {
  for (;;) {
    if (const Node* node = find(path)) return node->start;
    const std::size_t dot = path.rfind('.');
    if (dot == std::string_view::npos) return place_;
    path = path.substr(0, dot);
  }
}

text::Position Reader::at(std::string_view path) const { return position(nearest(path)); }

std::string Reader::where(std::string_view path) const {
  return where_.empty() ? std::string(path) : fmt::format("{}.{}", where_, path);
}

}  // namespace tg::spec
