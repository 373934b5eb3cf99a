#include "render/outputs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace tg::render {

namespace {

constexpr std::string_view kPrefix = "output:";

using Names = std::set<std::string, std::less<>>;

Names declared(const std::vector<Part>& parts) {
  Names out;
  for (const Part& p : parts) out.insert(p.outputs.begin(), p.outputs.end());
  return out;
}

bool of_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

// Writes the text anew with what `put` gives for each placeholder; what is not declared stays.
template <class Put>
std::string replaced(std::string_view text, const Names& names, Put put) {
  std::string out;
  std::size_t done = 0;
  for (std::size_t at = text.find(kPrefix); at != std::string_view::npos; at = text.find(kPrefix, at + 1)) {
    if (at < done || (at > 0 && of_name(text[at - 1]))) continue;
    std::size_t end = at + kPrefix.size();
    while (end < text.size() && of_name(text[end])) ++end;
    const std::string_view name = text.substr(at + kPrefix.size(), end - at - kPrefix.size());
    if (!names.contains(name)) continue;
    out += text.substr(done, at - done);
    out += put(std::string(name));
    done = end;
  }
  return out += text.substr(done);
}

std::string step(const std::string& path, const std::string& key) {
  const bool quoted = key.find('.') != std::string::npos;
  return fmt::format("{}{}{}{}{}", path, path.empty() || path.ends_with(' ') ? "" : ".", quoted ? "\"" : "",
                     key, quoted ? "\"" : "");
}

// Calls visit(path, text) for each text of the value.
template <class Node, class Visit>
void walk(Node& node, const std::string& path, const Visit& visit) {
  if (node.is_string()) {
    visit(path, node);
  } else if (node.is_array()) {
    for (std::size_t i = 0; i < node.size(); ++i) walk(node[i], fmt::format("{}[{}]", path, i), visit);
  } else if (node.is_object()) {
    for (auto it = node.begin(); it != node.end(); ++it) walk(it.value(), step(path, it.key()), visit);
  }
}

// Calls visit(file, path, text) for each text of the part's values and objects.
template <class P, class Visit>
void each_text(P& part, const Visit& visit) {
  const std::string folder = part.folder();
  for (auto& r : part.releases) {
    const std::string file = fmt::format("{}/{}/values.yaml", folder, r.release);
    walk(r.values, "", [&](const std::string& path, auto& text) { visit(file, path, text); });
  }
  for (auto& m : part.manifests) {
    const std::string file = folder + "/" + m.file;
    for (auto& o : m.objects) {
      const std::string of =
          fmt::format("{} {} ", o.value("kind", std::string("object")),
                      o.contains("metadata") ? o["metadata"].value("name", std::string()) : std::string());
      walk(o, of, [&](const std::string& path, auto& text) { visit(file, path, text); });
    }
  }
}

}  // namespace

std::vector<OutputUse> output_uses(const std::vector<Part>& parts) {
  const Names names = declared(parts);
  std::vector<OutputUse> out;
  if (names.empty()) return out;
  for (const Part& p : parts) {
    each_text(p, [&](const std::string& file, const std::string& path, const Json& text) {
      replaced(text.get_ref<const std::string&>(), names, [&](const std::string& name) {
        out.push_back({file, path, name});
        return std::string();
      });
    });
  }
  return out;
}

std::string output_guard(const std::vector<OutputUse>& uses) {
  if (uses.empty()) return {};
  std::set<std::string> names, folders;
  for (const OutputUse& u : uses) {
    names.insert(u.name);
    folders.insert(u.file.substr(0, u.file.find('/')));
  }
  return fmt::format(
      "if grep -rnE '{}({})([^A-Za-z0-9_-]|$)' {}; then\n"
      "  echo 'these values are open: tidegate render with --outputs puts them in' >&2\n  exit 1\nfi\n",
      kPrefix, fmt::join(names, "|"), fmt::join(folders, " "));
}

Result<OutputValues> OutputValues::read(const std::string& text, std::string source) {
  const auto bad = [&](std::string_view what) {
    return fail("bad_outputs", fmt::format("{}: {}", source, what),
                "write it with: tofu -chdir=infrastructure/terraform output -json");
  };
  const Json all = Json::parse(text, nullptr, false);
  if (all.is_discarded()) return bad("this is not JSON");
  if (!all.is_object()) return bad("this is no map of outputs");
  OutputValues out;
  for (const auto& [name, output] : all.items()) {
    if (!output.is_object() || !output.contains("value"))
      return bad(fmt::format("{} is not {{\"sensitive\": …, \"type\": …, \"value\": …}}", name));
    const auto sensitive = output.find("sensitive");
    if (sensitive != output.end() && !sensitive->is_boolean())
      return bad(fmt::format("{}: sensitive is neither true nor false", name));
    out.values_.emplace(name, Value{output["value"], sensitive != output.end() && sensitive->get<bool>()});
  }
  out.source_ = std::move(source);
  return out;
}

const std::string* OutputValues::text_of(const OutputUse& use, std::vector<spec::Finding>& findings) const {
  const auto refuse = [&](const char* code, std::string message, std::string hint) {
    findings.push_back({.code = code,
                        .severity = spec::Severity::error,
                        .at = {.file = source_},
                        .path = use.name,
                        .message = fmt::format("{}: {}: {}", use.file, use.path, message),
                        .hint = std::move(hint)});
    return nullptr;
  };
  const auto it = values_.find(use.name);
  if (it == values_.end())
    return refuse("output_missing", fmt::format("there is no output {}", use.name),
                  "apply the rendered Terraform first, then write the file again: tofu output -json");
  if (it->second.sensitive)
    return refuse("output_is_secret", fmt::format("the output {} is sensitive", use.name),
                  "no secret is rendered: refer to it with secretRef");
  const Json& value = it->second.value;
  if (!value.is_string() || value.get_ref<const std::string&>().empty())
    return refuse("output_not_text",
                  fmt::format("the output {} is {}, not a text", use.name,
                              value.is_string() ? std::string("empty") : std::string(value.type_name())),
                  "name an output whose value is a text; the module joins lists itself");
  return &value.get_ref<const std::string&>();
}

void OutputValues::fill(std::vector<Part>& parts, std::vector<spec::Finding>& findings) const {
  const Names names = declared(parts);
  for (Part& p : parts) {
    each_text(p, [&](const std::string& file, const std::string& path, Json& text) {
      std::string& whole = text.get_ref<std::string&>();
      whole = replaced(whole, names, [&](const std::string& name) {
        const std::string* value = text_of({file, path, name}, findings);
        return value == nullptr ? std::string(kPrefix) + name : *value;
      });
    });
  }
}

}  // namespace tg::render
