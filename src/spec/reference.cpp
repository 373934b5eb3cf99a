#include "spec/reference.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/clock.hpp"
#include "base/units.hpp"
#include "spec/documents.hpp"
#include "spec/requirements.hpp"
#include "text/suggest.hpp"

namespace tg::spec {

namespace {

std::string bound(Type type, double value) {
  switch (type) {
    case Type::duration:
      return format_duration(static_cast<Nanos>(value));
    case Type::quantity:
      if (value < 1024) return fmt::format("{:g}", value);
      [[fallthrough]];
    case Type::bytes:
      return format_bytes(static_cast<std::uint64_t>(value));
    case Type::percent:
      return fmt::format("{:g}%", value * 100);
    case Type::integer:
      return fmt::format("{:.0f}", value);
    default:
      return value == std::floor(value) ? fmt::format("{:.0f}", value) : fmt::format("{:g}", value);
  }
}

// "from 1 to 1000", empty without bounds.
std::string range(const Field& f) {
  if (f.min == -kNoBound) return {};
  return fmt::format("from {} to {}", bound(f.type, f.min), bound(f.type, f.max));
}

std::string type_of(const Field& f) {
  std::string out(type_name(f.type));
  const auto words = text::join_words(split_words(f.words), "or");
  if (f.type == Type::choice) {
    out = words;
  } else if (f.type == Type::text_list && f.item) {
    out = f.item == Type::choice ? "a list of " + words : fmt::format("a list, each {}", type_name(*f.item));
  } else if (!f.words.empty()) {
    out += " or " + words;
  }
  if (f.type == Type::fault_time) out = "load, firstByte, event:N or end";
  if (f.type == Type::fault_act) out = "exit, stall or error:STATUS";
  if (f.shorthand == "[]") out += ", or one alone";
  return out;
}

std::string default_of(const Field& f) {
  if (f.required) return "required";
  return f.fallback.empty() ? "" : std::string(f.fallback);
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

// What a person must know besides the meaning.
std::string remarks(DocumentKind kind, const Field& f) {
  std::string out;
  if (!f.reason.empty()) out += fmt::format(" Why this default: {}.", f.reason);
  if (!f.shorthand.empty() && f.shorthand != "[]")
    out += fmt::format(" A value in place of the map is its `{}`.", f.shorthand);
  if (!f.like.empty()) out += fmt::format(" Also has the fields of `{}`.", f.like);
  if (f.planned) out += " Serving refuses it.";
  if (const auto rows = own_meets(kind, f); !rows.empty()) out += fmt::format(" Decides {}.", rows);
  return out;
}

void add_row(std::string& out, DocumentKind kind, const Field& f) {
  std::string limits(f.unit);
  const std::string r = range(f);
  if (!r.empty()) limits += limits.empty() ? r : ", " + r;
  const std::string given = default_of(f);
  const bool literal = !f.required && !f.described && !given.empty() && given != "none" &&
                       (f.platform || given.find(' ') == std::string::npos);
  out += fmt::format("| `{}` | {} | {} | {} | {} |\n", f.path, escaped(type_of(f)),
                     literal ? "`" + given + "`" : escaped(given), escaped(limits),
                     escaped(std::string(f.meaning) + remarks(kind, f)));
}

// The part below `spec` that a row belongs to: "components".
std::string_view area(const Field& f) {
  if (!f.path.starts_with("spec.")) return {};
  const std::string_view rest = f.path.substr(5);
  return rest.substr(0, rest.find_first_of(".["));
}

constexpr std::string_view kTableHead =
    "| field | type | default | unit and range | meaning |\n|---|---|---|---|---|\n";

void add_table(std::string& out, DocumentKind kind, bool by_area) {
  std::string_view last;
  out += kTableHead;
  for (const Field& f : fields(kind)) {
    if (f.planned && !f.platform) continue;
    const bool opens = !children(kind, f.path).empty() || f.type == Type::object_list;
    if (by_area && area(f) != last && opens) {
      out += fmt::format("\n### {}.spec.{}\n\n{}", kind_name(kind), area(f), kTableHead);
      last = area(f);
    }
    add_row(out, kind, f);
  }
  std::vector<std::string> planned;
  for (const Field& f : fields(kind)) {
    if (f.planned && !f.platform) planned.push_back(fmt::format("`{}`", f.path));
    for (const std::string_view later : split_words(f.later))
      planned.push_back(fmt::format("`{}: {}`", f.path, later));
  }
  if (planned.empty()) return;
  const std::vector<std::string_view> views(planned.begin(), planned.end());
  out += fmt::format("\nKnown and refused, because this version does not act on them: {}.\n",
                     text::join_words(views));
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(at), text.size());
    out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::string describe_field(DocumentKind kind, const Field& f) {
  std::string out = fmt::format("{}.{}\n  {}\n", kind_name(kind), f.path, f.meaning);
  const auto line = [&out](std::string_view name, std::string_view value) {
    if (!value.empty()) out += fmt::format("  {:<9}{}\n", name, value);
  };
  if (f.planned && !f.platform) {
    line("state", "not supported yet: a document with it is refused");
    return out;
  }
  line("type", type_of(f));
  line("unit", f.unit);
  line("range", range(f));
  line("default", default_of(f));
  line("why", f.reason);
  line("rows", meets(kind, f));
  for (const std::string_view row : split(meets(kind, f), ' ')) {
    if (const std::string_view text = outdated_text(row); !text.empty())
      out += fmt::format("  {:<9}{}: {}\n", "", row, text);
  }
  if (f.shorthand == "[]")
    line("short", "one value in place of the list");
  else
    line("short",
         f.shorthand.empty() ? "" : fmt::format("a value in place of the map is its {}", f.shorthand));
  if (f.platform && kind != DocumentKind::platform && kind != DocumentKind::training_run)
    line("state", f.planned ? "for render; serving refuses it" : "for render; serving does not look into it");
  return out;
}

std::string list_below(DocumentKind kind, std::string_view parent) {
  std::string out;
  for (const Field* f : children(kind, parent)) {
    if (!f->planned || f->platform) out += fmt::format("  {:<16}{}\n", f->leaf(), f->meaning);
  }
  return out;
}

std::string explain_in(DocumentKind kind, const Field& f) {
  std::string out = describe_field(kind, f);
  // Of a map of named things the fields of one thing.
  const auto& members = children(kind, f.path);
  const bool named = f.type == Type::map && !members.empty();
  const std::string below = list_below(kind, named ? inside(*members.front()) : inside(f));
  if (!below.empty()) out += "fields:\n" + below;
  return out;
}

}  // namespace

std::string reference_markdown() {
  std::string out =
      "# The documents\n\n"
      "Written by the program from its field table; do not edit. A test compares the two, and\n"
      "`TIDEGATE_WRITE_REFERENCE=1 build/dev/src/spec/spec_test` writes this page anew.\n\n"
      "A file holds any number of documents, as YAML (1.2, `---` between them) or JSON. Each begins with\n";
  out += fmt::format("`apiVersion: {}`.\n\n", kApiVersion);
  out +=
      "- Sizes: `512Mi`, `4Gi`, `100M`. Durations: `250ms`, `30s`, `2m`, `1h30m`. Counts: `600`, `200k`, "
      "`1M`. Shares: `20%`.\n"
      "- A field that is not known, or known but not acted on, is an error. So is the same key twice.\n"
      "- Every Model, and every model of a Provider, gets a Route of its name unless a Route has that name.\n"
      "- Where a map with one entry is expected, a name stands for that entry without fields: `engine: "
      "simulated`. Where a map has one field that matters most, its value stands for the map: `logs: loki`.\n"
      "- `PATH.*` is a thing of a map by a name of one's own: `spec.pools.*.count` is `count` of each pool.\n"
      "- Secrets are named, never written: `{secretRef: NAME}`, `{secretRef: {name: NAME, key: KEY}}`, "
      "`{env: VARIABLE}`,\n  `{file: PATH}` or `{vault: PATH}`.\n"
      "- For `render`, a later file may repeat a kind and name: what it says is put over the earlier "
      "document, "
      "null removes.\n"
      "- *Decides S1-51* names rows of the requirements, which `docs/coverage.md` lists with their proofs; "
      "*F-44* is\n  a row at the end of this page, of what is outdated in them. Fields below decide the same "
      "unless they say otherwise.\n";
  for (const DocumentKind kind : decoded_kinds()) {
    out += fmt::format("\n## {}\n\n", kind_name(kind));
    const bool for_render = kind == DocumentKind::platform || kind == DocumentKind::training_run;
    if (for_render)
      out += "For `render` and `apply`; serving accepts and names it and does not look into it.\n\n";
    add_table(out, kind, kind == DocumentKind::platform);
  }
  out +=
      "\n## Outdated\n\nWhat the guides behind the requirements say that does not hold today, and what "
      "stands "
      "in its place.\n\n| row | what |\n|---|---|\n";
  for (const Outdated& o : outdated()) out += fmt::format("| {} | {} |\n", o.row, escaped(o.text));
  return out;
}

Result<std::string> explain_field(std::string_view path) {
  const std::size_t dot = path.find('.');
  const std::string first = lower(path.substr(0, dot));
  std::vector<std::string> all;
  for (const DocumentKind kind : decoded_kinds()) {
    const std::string name = lower(kind_name(kind));
    all.push_back(name);
    for (const Field& f : fields(kind)) all.push_back(fmt::format("{}.{}", name, f.path));
    if (first != name) continue;
    if (dot == std::string_view::npos) {
      std::string out = fmt::format("{}\nfields:\n{}spec:\n{}", kind_name(kind), list_below(kind, ""),
                                    list_below(kind, "spec"));
      return out;
    }
    if (const Field* f = resolve_field(kind, path.substr(dot + 1))) return explain_in(kind, *f);
  }
  std::string out;
  for (const DocumentKind kind : decoded_kinds()) {
    if (const Field* f = resolve_field(kind, path)) out += (out.empty() ? "" : "\n") + explain_in(kind, *f);
  }
  if (!out.empty()) return out;
  std::string hint = text::did_you_mean(path, std::span<const std::string>(all));
  if (hint.empty()) hint = "begin with the kind, for example model.spec.replicas.max or platform.spec.pools";
  return fail("unknown_field", fmt::format("there is no field {}", path), std::move(hint));
}

}  // namespace tg::spec
