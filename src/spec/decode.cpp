#include "spec/decode.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <tuple>
#include <utility>

#include "spec/bind.hpp"
#include "spec/check.hpp"
#include "spec/references.hpp"
#include "text/suggest.hpp"
#include "text/yaml.hpp"

namespace tg::spec {

namespace {

using text::Node;
using text::Position;

class Decoder {
 public:
  explicit Decoder(bool complete) : complete_(complete) {}

  DecodeResult run(const std::vector<Source>& sources) {
    for (const Source& s : sources) file(s);
    // References into documents that could not be read would only repeat what is wrong already.
    if (complete_) connect(result_.documents, tenant_routes_, result_.findings);
    sort(sources);
    return std::move(result_);
  }

 private:
  void add(std::string_view code, Position at, std::string path, std::string message, std::string hint) {
    result_.findings.push_back({std::string(code), Severity::error, std::move(at), std::move(path),
                                std::move(message), std::move(hint)});
  }

  void file(const Source& s) {
    text::YamlFile yaml = text::parse_yaml(s.content);
    for (auto& p : yaml.problems) {
      complete_ = false;
      add(p.code, {s.name, p.at.line, p.at.column}, {}, std::move(p.message), std::move(p.hint));
    }
    for (Node& node : yaml.documents) document(s.name, node);
  }

  // What kind the document says it is; nothing if it does not, then findings say so.
  std::optional<DocumentKind> identify(const std::string& file, const Node& node) {
    const Position at{file, node.start.line, node.start.column};
    if (node.kind != Node::Kind::mapping) {
      add("wrong_type", at, {}, fmt::format("a document must be a map, this is {}", describe(node)),
          "begin with apiVersion: tidegate.dev/v1alpha1");
      return std::nullopt;
    }
    const Node* version = node.find("apiVersion");
    const Node* kind = node.find("kind");
    bool good = true;
    if (version != nullptr && version->text != kApiVersion) {
      const bool foreign =
          version->text.find('/') != std::string::npos && !version->text.starts_with("tidegate.dev/");
      add("unknown_api_version", place(file, *version), "apiVersion",
          fmt::format("apiVersion is '{}'", version->text),
          foreign ? "this is a document for another program: leave it out here"
                  : fmt::format("write apiVersion: {}", kApiVersion));
      good = false;
    }
    if (version == nullptr) {
      add("missing_field", at, "apiVersion", "apiVersion is missing",
          fmt::format("add apiVersion: {} to each document", kApiVersion));
    }
    if (kind == nullptr) {
      add("missing_field", at, "kind", "kind is missing", "add kind: Model, Provider, Route or Tenant");
      return std::nullopt;
    }
    if (!good) return std::nullopt;
    const auto known = kind_of(kind->text);
    if (!known) {
      std::string hint = text::did_you_mean(kind->text, kind_names());
      if (hint.empty()) hint = "write kind: Model, Provider, Route or Tenant";
      add("unknown_kind", place(file, *kind), "kind", fmt::format("there is no kind '{}'", kind->text),
          std::move(hint));
      return std::nullopt;
    }
    if (*known == DocumentKind::training_run) {
      add("not_supported_yet", place(file, *kind), "kind", "not supported yet: kind TrainingRun",
          "leave it out here");
      return std::nullopt;
    }
    return known;
  }

  void document(const std::string& file, Node& node) {
    const auto kind = identify(file, node);
    if (!kind) {
      complete_ = false;
      return;
    }
    std::vector<Finding> wrong;
    check_document(*kind, file, node, wrong);
    // A missing apiVersion was told by identify() with a better hint.
    std::erase_if(wrong,
                  [](const Finding& f) { return f.code == "missing_field" && f.path == "apiVersion"; });
    std::move(wrong.begin(), wrong.end(), std::back_inserter(result_.findings));
    const Reader reader(*kind, file, node);
    const std::string name = reader.value("metadata.name").text;
    if (name.empty()) {
      complete_ = false;  // whoever refers to it cannot be judged
      return;
    }
    switch (*kind) {
      case DocumentKind::model:
        return keep(result_.documents.models, bind_model(reader, result_.findings), *kind, reader);
      case DocumentKind::provider:
        return keep(result_.documents.providers, bind_provider(reader, result_.findings), *kind, reader);
      case DocumentKind::route:
        return keep(result_.documents.routes, bind_route(reader, result_.findings), *kind, reader);
      case DocumentKind::tenant:
        if (!result_.documents.tenants.contains(name))
          tenant_routes_.emplace(name, reader.texts("spec.routes"));
        return keep(result_.documents.tenants, bind_tenant(reader, result_.findings), *kind, reader);
      case DocumentKind::platform:
        result_.documents.platforms.push_back(name);
        return;
      case DocumentKind::training_run:
        return;
    }
  }

  template <class T>
  void keep(std::map<std::string, T>& all, T value, DocumentKind kind, const Reader& reader) {
    const auto [it, fresh] = all.try_emplace(value.name, value);
    if (fresh) return;
    add("duplicate_document", reader.at("metadata.name"), "metadata.name",
        fmt::format("there is a {} {} already, at {}", kind_name(kind), value.name, it->second.at.str()),
        "rename or remove one of them");
  }

  static Position place(const std::string& file, const Node& node) {
    return {file, node.start.line, node.start.column};
  }

  // By file as given, line, column; what stands at one place keeps its order.
  void sort(const std::vector<Source>& sources) {
    using Key = std::tuple<std::size_t, int, int, std::size_t>;
    std::vector<std::pair<Key, Finding>> keyed;
    for (Finding& f : result_.findings) {
      const auto it =
          std::find_if(sources.begin(), sources.end(), [&](const Source& s) { return s.name == f.at.file; });
      keyed.emplace_back(Key(it - sources.begin(), f.at.line, f.at.column, keyed.size()), std::move(f));
    }
    std::sort(keyed.begin(), keyed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    result_.findings.clear();
    for (auto& [key, finding] : keyed) result_.findings.push_back(std::move(finding));
  }

  DecodeResult result_;
  TenantRoutes tenant_routes_;
  bool complete_;
};

}  // namespace

bool DecodeResult::ok() const {
  return std::none_of(findings.begin(), findings.end(),
                      [](const Finding& f) { return f.severity == Severity::error; });
}

std::string DecodeResult::text() const {
  std::string out;
  for (const Finding& f : findings) out.append(f.str()).append("\n");
  return out;
}

DecodeResult decode(const std::vector<Source>& sources, bool complete) {
  return Decoder(complete).run(sources);
}

}  // namespace tg::spec
