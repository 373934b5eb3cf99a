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
// All kinds, in the order of the reference page.
std::span<const DocumentKind> decoded_kinds();
// The kinds that serving acts on.
std::span<const DocumentKind> serving_kinds();

// What documents are read for. `serve`: Models, Providers, Routes and Tenants on this machine; fields that
// only rendering acts on are accepted and not looked into. `platform`: rendering for machines and clusters;
// every field is looked into.
enum class Purpose : std::uint8_t { serve, platform };

enum class Type : std::uint8_t {
  object,       // a map of the fields below it
  one_of,       // a map with exactly one of the fields below it; the name alone stands for an empty map
  secret,       // as one_of, but text in its place is a secret that has no business there
  object_list,  // a list of maps; the fields of one entry are below PATH[]
  map,          // a map of named things; the row of one thing is PATH.*, `keys` is the type of the names
  text_map,     // a map of texts (labels, tags); `keys` and `item` are the types of its names and values
  resources,    // a map of resource names to quantities; with `item` percent a share may stand there too
  count,        // a whole number or {min, max}; rows PATH.min and PATH.max; one number stands for both
  secret_ref,   // {secretRef: NAME or {name, key}}, {env: NAME}, {file: PATH} or {vault: PATH}
  text_list,    // a list; `item` is the type of an entry
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
  quantity,    // as Kubernetes writes it: 500m, 2, 4Gi; base units (cores, bytes)
  cidr,        // a network: 10.0.0.0/16
  ip,          // an address
  host,        // a DNS name, lower case
  host_port,   // HOST:PORT
  email,
  cron,         // five fields
  window,       // days and hours: "Sun 03:00-05:00"
  taint,        // KEY=VALUE:Effect
  rate,         // N/s, N/m or N/h
  version,      // "1.35"
  tag,          // of an image, never latest
  image,        // REPOSITORY:TAG or REPOSITORY@sha256:DIGEST, never latest
  given,        // text, or {env: NAME}: what an environment variable holds when the platform is applied
  time_zone,    // "Europe/Brussels", "UTC"
  url_path,     // "/auth"
  qualified,    // name of a label or resource: "tier", "nvidia.com/gpu"
  label_value,  // at most 63 letters, digits, '-', '_', '.'
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
  // The field below it for which a scalar in place of the map stands (`logs: loki` is `logs: {use: loki}`);
  // "[]" at a list: a scalar stands for a list of one.
  std::string_view shorthand{};
  std::string_view like{};  // a path whose fields are fields of this one too, unless it has its own
  std::optional<Type> item{};
  Type keys = Type::label;
  bool platform = false;   // only rendering acts on it: with Purpose::serve it is checked and a warning says
                           // so. With `planned` serving refuses it and rendering takes it.
  bool described = false;  // `fallback` says in words what holds, it is no value
  bool partial = false;    // nothing is required below it, and null removes (an overlay)

  std::string_view leaf() const;    // "weight"
  std::string_view parent() const;  // "spec.to[]", empty for a top field
};

// All fields of a kind, parents before children, in the order of the reference page.
std::span<const Field> fields(DocumentKind kind);
// By exact path ("spec.to[].weight"); nullptr if there is none.
const Field* find_field(DocumentKind kind, std::string_view path);
// As a person writes a path: "spec.to[0].weight", "spec.to.weight", "spec.pools.gpu.count", and through
// `like`: "spec.infrastructure.google.region" is the row of aws. nullptr if there is none.
const Field* resolve_field(DocumentKind kind, std::string_view path);
// The fields directly below an object ("spec.replicas", "spec.to[]", "spec.pools.*", "" for the document),
// those of `like` last.
const std::vector<const Field*>& children(DocumentKind kind, std::string_view parent);
// The path below which the fields of a value of `field` stand: PATH, of a list of maps PATH[].
std::string inside(const Field& field);
std::vector<std::string_view> split_words(std::string_view words);  // at '|'

// What a person calls the type: "a duration", "a list of texts".
std::string_view type_name(Type type);
// Something of the type that a user could write, for hints.
std::string_view example(Type type);

}  // namespace tg::spec
