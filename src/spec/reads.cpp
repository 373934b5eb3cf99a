#include "spec/reads.hpp"

#include <fmt/format.h>

#include <cstdint>

namespace tg::spec {

namespace {

using text::Node;

std::uint64_t mixed(std::uint64_t h, std::uint64_t value) {
  h ^= value;
  h *= 0x100000001B3U;
  return h ^ h >> 29;
}

// A value in one line; empty if it is deeper than that.
std::string brief(const Node& node) {
  std::string out;
  const auto add = [&out](std::string_view text) {
    out += fmt::format("{}{}", out.empty() ? "" : ", ", text);
  };
  if (node.kind == Node::Kind::scalar) return node.text;
  for (const text::Member& m : node.members) {
    if (m.value.kind != Node::Kind::scalar) return {};
    add(fmt::format("{}: {}", m.key, m.value.text));
  }
  for (const Node& item : node.items) {
    if (item.kind != Node::Kind::scalar) return {};
    add(item.text);
  }
  return out;
}

class Walk {
 public:
  Walk(const Documents& documents, const Usage& usage, std::vector<Read>& out)
      : documents_(documents), usage_(usage), out_(out) {}

  void document(const Document& d) {
    document_ = &d;
    if (const Node* spec = d.node.find("spec")) fields_of("spec", spec, "spec", spec->start);
  }

 private:
  // The fields of a map: `node` is null if it is not there, `around` then starts the nearest one that is.
  void fields_of(const std::string& table, const Node* node, const std::string& where, text::Mark around) {
    for (const Field* f : children(document_->kind, table)) {
      if (f->leaf() == "*") {
        for (std::size_t i = 0; node != nullptr && i < node->members.size(); ++i) {
          const text::Member& m = node->members[i];
          field(*f, &m.value, fmt::format("{}.{}", where, m.key), around);
        }
        continue;
      }
      const Node* child = node == nullptr ? nullptr : node->find(f->leaf());
      field(*f, child, fmt::format("{}.{}", where, f->leaf()), around);
    }
  }

  void field(const Field& f, const Node* node, const std::string& where, text::Mark around) {
    if (node != nullptr) around = node->start;
    switch (f.type) {
      case Type::one_of:
      case Type::secret:
        // Of what was not chosen nothing holds, not even its defaults.
        if (node == nullptr || node->members.size() != 1) return;
        for (const Field* m : children(document_->kind, f.path)) {
          if (m->leaf() == node->members.front().key)
            field(*m, &node->members.front().value, fmt::format("{}.{}", where, m->leaf()), around);
        }
        return;
      case Type::object:
      case Type::count:
      case Type::map:
        return fields_of(std::string(f.path), node, where, around);
      case Type::object_list:
        for (std::size_t i = 0; node != nullptr && i < node->items.size(); ++i) {
          const Node& item = node->items[i];
          fields_of(inside(f), &item, fmt::format("{}[{}]", where, i), item.start);
        }
        return;
      default:
        return value(f, node, where, around);
    }
  }

  void value(const Field& f, const Node* node, const std::string& where, text::Mark around) {
    const bool told = node != nullptr ? usage_.contains(*node)
                                      : usage_.contains(absent_field(document_->kind, where, around));
    if (!told) return;
    out_.push_back({document_, &f, where, documents_.position(around), node != nullptr,
                    node != nullptr ? brief(*node) : std::string()});
  }

  const Documents& documents_;
  const Usage& usage_;
  std::vector<Read>& out_;
  const Document* document_ = nullptr;
};

}  // namespace

std::vector<Read> reads(const Documents& documents, const Usage& usage) {
  std::vector<Read> out;
  Walk walk(documents, usage, out);
  for (const Document& d : documents.all) walk.document(d);
  return out;
}

Node absent_field(DocumentKind kind, std::string_view where, text::Mark around) {
  std::uint64_t h = 0xCBF29CE484222325U;
  for (const char c : where) h = mixed(h, static_cast<unsigned char>(c));
  for (const int part : {static_cast<int>(kind), around.source, around.line, around.column})
    h = mixed(h, static_cast<std::uint64_t>(part));
  // No file has such places: their column is negative. Those of one map stand together, so that Usage, which
  // is ordered, finds them in the same corner of memory.
  Node out;
  out.start = {around.line, -1 - static_cast<int>(h & 0x7FFFFFFF), around.source};
  return out;
}

}  // namespace tg::spec
