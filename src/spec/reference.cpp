#include "spec/reference.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/clock.hpp"
#include "base/units.hpp"
#include "spec/documents.hpp"
#include "text/suggest.hpp"

namespace tg::spec {

namespace {

std::string bound(Type type, double value) {
  switch (type) {
    case Type::duration:
      return format_duration(static_cast<Nanos>(value));
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
  if (f.type == Type::choice) out = text::join_words(split_words(f.words), "or");
  if (f.type != Type::choice && !f.words.empty())
    out += " or " + text::join_words(split_words(f.words), "or");
  if (f.type == Type::fault_time) out = "load, firstByte, event:N or end";
  if (f.type == Type::fault_act) out = "exit, stall or error:STATUS";
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

void add_table(std::string& out, DocumentKind kind) {
  out += "| field | type | default | unit and range | meaning |\n|---|---|---|---|---|\n";
  for (const Field& f : fields(kind)) {
    if (f.planned) continue;
    std::string limits(f.unit);
    const std::string r = range(f);
    if (!r.empty()) limits += limits.empty() ? r : ", " + r;
    std::string meaning(f.meaning);
    if (!f.reason.empty()) meaning += fmt::format(" Why this default: {}.", f.reason);
    const std::string given = default_of(f);
    const bool literal =
        !f.required && !given.empty() && given.find(' ') == std::string::npos && given != "none";
    out += fmt::format("| `{}` | {} | {} | {} | {} |\n", f.path, escaped(type_of(f)),
                       literal ? "`" + given + "`" : escaped(given), escaped(limits), escaped(meaning));
  }
  std::vector<std::string> planned;
  for (const Field& f : fields(kind)) {
    if (f.planned) planned.push_back(fmt::format("`{}`", f.path));
    for (const std::string_view later : split_words(f.later))
      planned.push_back(fmt::format("`{}: {}`", f.path, later));
  }
  if (planned.empty()) return;
  const std::vector<std::string_view> views(planned.begin(), planned.end());
  out += fmt::format("\nKnown and refused, because this version does not act on them: {}.\n",
                     text::join_words(views));
}

// "spec.to[0].weight", "spec.to.weight" → "spec.to[].weight" as far as the table has it.
const Field* find_loosely(DocumentKind kind, std::string_view path) {
  const auto plain = [](std::string_view text) {
    std::string out;
    bool inside = false;
    for (const char c : text) {
      if (c == '[') inside = true;
      if (!inside) out += c;
      if (c == ']') inside = false;
    }
    return out;
  };
  const std::string wanted = plain(path);
  for (const Field& f : fields(kind)) {
    if (plain(f.path) == wanted) return &f;
  }
  return nullptr;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

std::string describe_field(DocumentKind kind, const Field& f) {
  std::string out = fmt::format("{}.{}\n  {}\n", kind_name(kind), f.path, f.meaning);
  const auto line = [&out](std::string_view name, std::string_view value) {
    if (!value.empty()) out += fmt::format("  {:<9}{}\n", name, value);
  };
  if (f.planned) {
    line("state", "not supported yet: a document with it is refused");
    return out;
  }
  line("type", type_of(f));
  line("unit", f.unit);
  line("range", range(f));
  line("default", default_of(f));
  line("why", f.reason);
  return out;
}

std::string list_below(DocumentKind kind, std::string_view parent) {
  std::string out;
  for (const Field* f : children(kind, parent)) {
    if (!f->planned) out += fmt::format("  {:<16}{}\n", f->leaf(), f->meaning);
  }
  return out;
}

std::string explain_in(DocumentKind kind, const Field& f) {
  std::string out = describe_field(kind, f);
  const std::string below =
      list_below(kind, f.type == Type::object_list ? std::string(f.path) + "[]" : std::string(f.path));
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
      "simulated`.\n";
  for (const DocumentKind kind : decoded_kinds()) {
    out += fmt::format("\n## {}\n\n", kind_name(kind));
    add_table(out, kind);
  }
  out +=
      "\n## Platform\n\nAccepted and named, not looked into: it is for `render` and `apply`, not for "
      "serving.\n";
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
    if (const Field* f = find_loosely(kind, path.substr(dot + 1))) return explain_in(kind, *f);
  }
  std::string out;
  for (const DocumentKind kind : decoded_kinds()) {
    if (const Field* f = find_loosely(kind, path)) out += (out.empty() ? "" : "\n") + explain_in(kind, *f);
  }
  if (!out.empty()) return out;
  std::string hint = text::did_you_mean(path, std::span<const std::string>(all));
  if (hint.empty())
    hint = "begin with model., provider., route. or tenant., for example model.spec.replicas.max";
  return fail("unknown_field", fmt::format("there is no field {}", path), std::move(hint));
}

}  // namespace tg::spec
