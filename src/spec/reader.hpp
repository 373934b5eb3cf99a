// Reads values of a checked document by their path in the field table; a field that is absent, or that the
// check found wrong, gives its default. Refers to the document: do not keep it.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "spec/value.hpp"
#include "text/position.hpp"
#include "text/yaml.hpp"

namespace tg::spec {

class Reader {
 public:
  // `table`: path in the field table of the map `node` ("" for the document, "spec.to[]" for an entry of a
  // list); `where`: its path in this document.
  Reader(DocumentKind kind, const std::string& file, const text::Node& node, std::string table = {},
         std::string where = {})
      : kind_(kind), file_(&file), node_(&node), table_(std::move(table)), where_(std::move(where)) {}

  // Paths are relative to the map: "spec.replicas.max", in an entry "when.errors".
  bool has(std::string_view path) const { return find(path) != nullptr; }
  bool is_map(std::string_view path) const {
    return has(path) && find(path)->kind == text::Node::Kind::mapping;
  }
  Value value(std::string_view path) const;
  std::vector<Reader> entries(std::string_view path) const;  // of a list of maps
  std::vector<std::pair<std::string, text::Position>> texts(
      std::string_view path) const;  // of a list of texts, good ones
  // The only member of a union, empty if absent or wrong.
  std::string_view chosen(std::string_view path) const;

  // Of the value, or of the nearest map around it that exists.
  text::Position at(std::string_view path) const;
  text::Position at() const { return position(node_->start); }
  std::string where(std::string_view path) const;  // in this document: "spec.to[1].model"

 private:
  const text::Node* find(std::string_view path) const;
  text::Position position(text::Mark mark) const { return {*file_, mark.line, mark.column}; }
  const Field& field(std::string_view path) const;

  DocumentKind kind_;
  const std::string* file_;
  const text::Node* node_;
  std::string table_;
  std::string where_;
};

}  // namespace tg::spec
