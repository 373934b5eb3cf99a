// YAML (and so JSON) files as trees of nodes with exact positions. libyaml delivers events; keys, scalars,
// aliases and bounds are decided here, for the answers of the usual loaders are unsafe for a configuration:
// YAML 1.1 booleans, silently doubled keys, unbounded aliases.
//
// Pure functions of the given bytes: any thread, no global state, nothing thrown. Nothing refers to the input
// afterwards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/position.hpp"

namespace tg::text {

// A place in the file that the tree came from, without the file's name. Both count from 1, columns in code
// points.
struct Mark {
  int line = 0;
  int column = 0;
  int source = 0;  // index of the file in a list that the caller keeps; parse_yaml leaves 0
};

struct Member;

// One value. Owns its children.
struct Node {
  enum class Kind : std::uint8_t { scalar, sequence, mapping };
  Kind kind = Kind::scalar;
  bool plain = false;  // a scalar without quotes: only such a one can be a number, a boolean or null
  std::string text;    // of a scalar, escapes resolved
  std::string tag;     // as written in long form ("tag:yaml.org,2002:str"), empty = none
  Mark start;          // of an alias: where the alias stands; its children keep the anchor's places
  Mark end;
  std::vector<Node> items;      // of a sequence
  std::vector<Member> members;  // of a mapping, in the order of the file, keys distinct

  const Node* find(std::string_view key) const;  // nullptr if the mapping has no such key; linear
};

struct Member {
  std::string key;
  Mark at;  // of the key
  Node value;
};

// What the YAML 1.2 core schema makes of a scalar.
enum class ScalarType : std::uint8_t { null, boolean, integer, floating, text };
ScalarType resolve(const Node& scalar);
// "text", "a number", "a list" …: what a person would call the node, for messages.
std::string_view describe(const Node& node);
// The value of a scalar for which resolve() says boolean: true for "true", "True" and "TRUE".
bool as_boolean(const Node& scalar);

struct YamlLimits {
  std::size_t bytes = 4 << 20;        // of the file
  int depth = 64;                     // of nested maps and lists, aliases expanded
  std::size_t nodes = 200'000;        // of the file, aliases expanded
  std::size_t alias_nodes = 10'000;   // made by aliases
  std::size_t alias_bytes = 1 << 20;  // text copied by aliases
};

// One thing wrong with a file as YAML. Codes: file_too_large, invalid_utf8, control_character, yaml_syntax,
// duplicate_key, bad_key, unknown_tag, unknown_alias, too_deep, too_many_nodes, alias_bomb.
struct YamlProblem {
  std::string code;
  Mark at;
  std::string message;
  std::string hint;
};

// What could be read. Reading goes on after duplicate_key, bad_key and unknown_tag and ends at any other
// problem; documents that were complete before stay. Empty documents are left out.
struct YamlFile {
  std::vector<Node> documents;
  std::vector<YamlProblem> problems;
};

YamlFile parse_yaml(std::string_view content, const YamlLimits& limits = {});

// Writes `source` into all marks of the tree, for trees of several files that are put together.
void stamp_source(Node& tree, int source);

}  // namespace tg::text
