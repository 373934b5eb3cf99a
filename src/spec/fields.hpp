// The field table: every field of every kind, once. From it come the decoder and its defaults, the JSON
// schemas, the reference page and the answers of `explain`. The table is constant data; everything here may
// be called from any thread.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace tg::spec {

enum class DocumentKind : std::uint8_t { model, provider, route, tenant, platform, training_run };

std::string_view kind_name(DocumentKind kind);               // "Model"
std::optional<DocumentKind> kind_of(std::string_view name);  // exact
std::span<const std::string_view> kind_names();              // all, in the order of the enum
// The kinds that this version decodes fully, in the order of the reference page.
std::span<const DocumentKind> decoded_kinds();

enum class Type : std::uint8_t {
  object,       // a map of the fields below it
  one_of,       // a map with exactly one of the fields below it; the name alone stands for an empty map
  secret,       // as one_of, but text in its place is a secret that has no business there
  object_list,  // a list of maps; the fields of one entry are below PATH[]
  text_list,    // a list of texts
  names,        // a list of model or Route names
  any,          // not looked into (planned fields, Platforms)
  text,
  variable,    // name of an environment variable
  label,       // DNS label: lower-case letters, digits, '-', at most 63
  dotted,      // labels joined by '.'
  model_name,  // printable ASCII without blanks and quotes, at most 256
  boolean,
  integer,  // plain or with k, M
  number,   // may have a fraction
  bytes,
  duration,
  percent,
  url,
  source,      // file:// hf:// https:// ollama://
  digest,      // SHA-256 in hex
  choice,      // one of `words`
  fault_time,  // load, firstByte, event:N, end
  fault_act,   // exit, stall, error:STATUS
};

inline constexpr double kNoBound = std::numeric_limits<double>::infinity();

struct Field {
  std::string_view path;  // "spec.to[].weight"
  Type type = Type::text;
  std::string_view fallback{};  // the default as a user would write it; empty = none
  std::string_view unit{};
  std::string_view meaning{};  // one sentence
  std::string_view reason{};   // why this default, where decided nowhere else
  bool required = false;       // in the object that holds it
  bool planned = false;        // known, but this version does not act on it: refused
  double min = -kNoBound;      // bounds in base units: bytes, nanoseconds, shares of 1
  double max = kNoBound;
  std::string_view words{};  // choices ("a|b"), or words allowed in place of a value ("auto")
  std::string_view later{};  // words that are known and refused as not supported yet

  std::string_view leaf() const;    // "weight"
  std::string_view parent() const;  // "spec.to[]", empty for a top field
};

// All fields of a kind, parents before children, in the order of the reference page. Empty for training_run.
std::span<const Field> fields(DocumentKind kind);
// By exact path ("spec.to[].weight"); nullptr if there is none.
const Field* find_field(DocumentKind kind, std::string_view path);
// The fields directly below an object ("spec.replicas", "spec.to[]", "" for the document).
std::vector<const Field*> children(DocumentKind kind, std::string_view parent);
std::vector<std::string_view> split_words(std::string_view words);  // at '|'

// What a person calls the type: "a duration", "a list of texts".
std::string_view type_name(Type type);
// Something of the type that a user could write, for hints.
std::string_view example(Type type);

}  // namespace tg::spec
