// Reads values of a checked document by their path in the field table; a field that is absent, or that the
// check found wrong, gives its default. Refers to the document: do not keep it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "spec/documents.hpp"
#include "spec/usage.hpp"
#include "spec/value.hpp"
#include "text/position.hpp"
#include "text/yaml.hpp"

namespace tg::spec {

// Where a secret stands.
struct SecretRef {
  enum class How { secret_ref, env, file, vault };
  How how = How::secret_ref;
  std::string name;  // of the Secret or the variable, or the path
  std::string key;   // of the Secret, may be empty
  text::Position at;
};

// A text, or the name of the variable that holds it when the platform is applied; one of them is empty.
struct Given {
  std::string text;
  std::string env;
};

class Reader {
 public:
  // Of a whole document. `usage` is told what is read; nullptr = nobody asks.
  Reader(const Documents& documents, const Document& document, Usage* usage = nullptr)
      : Reader(document.kind, documents.files, document.node, usage) {}
  // `table`: path in the field table of the map `node` ("" for the document, "spec.to[]" for an entry of a
  // list); `where`: its path in this document. `files`: what Mark::source counts into.
  Reader(DocumentKind kind, const std::vector<std::string>& files, const text::Node& node,
         Usage* usage = nullptr, std::string table = {}, std::string where = {})
      : kind_(kind),
        files_(&files),
        node_(&node),
        place_(node.start),
        usage_(usage),
        table_(std::move(table)),
        where_(std::move(where)) {}

  // Paths are relative to the map: "spec.replicas.max", in an entry "when.errors". A path that the table
  // does not have is a fault of the program and ends it.

  bool has(std::string_view path) const { return find(path) != nullptr; }  // written by the user
  bool is_map(std::string_view path) const {
    return has(path) && find(path)->kind == text::Node::Kind::mapping;
  }
  Value value(std::string_view path) const;

  // Short forms of value(). A default that is a description gives an empty text, 0, false.
  std::string text(std::string_view path) const { return value(path).text; }
  std::int64_t integer(std::string_view path) const { return value(path).integer; }
  double number(std::string_view path) const;  // shares of 1, base units, per second
  bool flag(std::string_view path) const { return integer(path) != 0; }
  double seconds(std::string_view path) const;  // of a duration

  std::vector<std::string> list(std::string_view path) const;  // of a list of scalars
  std::vector<Reader> entries(std::string_view path) const;    // of a list of maps
  // The things of a map, in order of their names.
  std::vector<std::pair<std::string, Reader>> named(std::string_view path) const;
  std::map<std::string, std::string> texts_map(
      std::string_view path) const;  // labels, tags; of a map of scalars
  std::map<std::string, std::string> quantities(std::string_view path) const;  // as the user wrote them
  std::optional<SecretRef> secret(std::string_view path) const;
  Given given(std::string_view path) const;
  // The map at `path`; an absent one is empty, so that the defaults hold.
  Reader sub(std::string_view path) const;
  // Good entries of a list of texts, with their places.
  std::vector<std::pair<std::string, text::Position>> texts(std::string_view path) const;
  // The only member of a union, empty if absent or wrong.
  std::string_view chosen(std::string_view path) const;

  // Of the value, or of the nearest map around it that exists.
  text::Position at(std::string_view path) const;
  text::Position at() const { return position(place_); }
  std::string where(std::string_view path) const;  // in this document: "spec.to[1].model"
  const text::Node& node() const { return *node_; }
  Usage* usage() const { return usage_; }

 private:
  const text::Node* find(std::string_view path) const;
  text::Mark nearest(std::string_view path) const;
  const text::Node* read(std::string_view path) const;  // find, and tells usage
  text::Position position(text::Mark mark) const {
    const auto index = static_cast<std::size_t>(mark.source);
    return {index < files_->size() ? (*files_)[index] : std::string(), mark.line, mark.column};
  }
  const Field& field(std::string_view path) const;

  DocumentKind kind_;
  const std::vector<std::string>* files_;
  const text::Node* node_;
  text::Mark place_;  // of the node; of an absent one that of the map around it
  Usage* usage_;
  std::string table_;
  std::string where_;
};

}  // namespace tg::spec
