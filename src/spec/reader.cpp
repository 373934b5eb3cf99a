#include "spec/reader.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

namespace tg::spec {

using text::Node;

const Field& Reader::field(std::string_view path) const {
  const std::string full = table_.empty() ? std::string(path) : fmt::format("{}.{}", table_, path);
  const Field* f = find_field(kind_, full);
  if (f == nullptr) {  // a fault of this program, not of the document: every test that decodes would hit it
    std::fprintf(stderr, "no field %s in the table\n", full.c_str());
    std::abort();
  }
  return *f;
}

const Node* Reader::find(std::string_view path) const {
  const Node* node = node_;
  while (node != nullptr && !path.empty()) {
    const std::size_t dot = path.find('.');
    node = node->kind == Node::Kind::mapping ? node->find(path.substr(0, dot)) : nullptr;
    path = dot == std::string_view::npos ? std::string_view{} : path.substr(dot + 1);
  }
  return node;
}

Value Reader::value(std::string_view path) const {
  const Field& f = field(path);
  if (const Node* node = find(path)) {
    if (auto read = read_value(f, *node)) return std::move(*read);
  }
  return default_value(f);
}

std::vector<Reader> Reader::entries(std::string_view path) const {
  const Field& f = field(path);
  std::vector<Reader> out;
  const Node* node = find(path);
  if (node == nullptr || node->kind != Node::Kind::sequence) return out;
  for (std::size_t i = 0; i < node->items.size(); ++i) {
    if (node->items[i].kind != Node::Kind::mapping) continue;
    out.emplace_back(kind_, *file_, node->items[i], std::string(f.path) + "[]",
                     fmt::format("{}[{}]", where(path), i));
  }
  return out;
}

std::vector<std::pair<std::string, text::Position>> Reader::texts(std::string_view path) const {
  Field entry = field(path);
  entry.type = entry.type == Type::names ? Type::model_name : Type::text;
  std::vector<std::pair<std::string, text::Position>> out;
  const Node* node = find(path);
  if (node == nullptr || node->kind != Node::Kind::sequence) return out;
  for (const Node& item : node->items) {
    if (auto read = read_value(entry, item)) out.emplace_back(std::move(read->text), position(item.start));
  }
  return out;
}

std::string_view Reader::chosen(std::string_view path) const {
  const Field& f = field(path);
  const Node* node = find(path);
  if (node == nullptr || node->kind != Node::Kind::mapping || node->members.size() != 1) return {};
  for (const Field* m : children(kind_, f.path)) {
    if (!m->planned && m->leaf() == node->members.front().key) return m->leaf();
  }
  return {};
}

text::Position Reader::at(std::string_view path) const {
  for (;;) {
    if (const Node* node = find(path)) return position(node->start);
    const std::size_t dot = path.rfind('.');
    if (dot == std::string_view::npos) return at();
    path = path.substr(0, dot);
  }
}

std::string Reader::where(std::string_view path) const {
  return where_.empty() ? std::string(path) : fmt::format("{}.{}", where_, path);
}

}  // namespace tg::spec
