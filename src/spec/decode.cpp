#include "spec/decode.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <tuple>
#include <utility>

#include "spec/bind.hpp"
#include "spec/check.hpp"
#include "spec/normalise.hpp"
#include "spec/references.hpp"
#include "text/suggest.hpp"
#include "text/yaml.hpp"

namespace tg::spec {

namespace {

using text::Node;
using text::Position;

// A document between parsing and check.
struct Writing {
  DocumentKind kind = DocumentKind::model;
  std::string name;  // empty if it has none that can be read
  text::Mark first;  // where its first writing begins
  int last = 0;      // the file of its last writing
  Node node;
};

class Decoder {
 public:
  Decoder(Purpose purpose, bool complete) : purpose_(purpose), complete_(complete) {}

  DecodeResult run(const std::vector<Source>& sources) {
    for (const Source& s : sources) documents().files.push_back(s.name);
    for (std::size_t i = 0; i < sources.size(); ++i) file(sources[i], static_cast<int>(i));
    judge();
    sort();
    return std::move(result_);
  }

  // The documents of one decode again, changed: checked, bound and connected anew.
  DecodeResult again(const Documents& from) {
    documents().files = from.files;
    for (const Document& d : from.all) writings_.push_back({d.kind, d.name, d.node.start, 0, d.node});
    judge();
    sort();
    return std::move(result_);
  }

 private:
  Documents& documents() { return result_.documents; }

  void judge() {
    for (Writing& w : writings_) document(w);
    // References into documents that could not be read would only repeat what is wrong already.
    if (complete_) connect(documents(), tenant_routes_, result_.findings);
  }

  void add(std::string_view code, Position at, std::string path, std::string message, std::string hint) {
    result_.findings.push_back({std::string(code), Severity::error, std::move(at), std::move(path),
                                std::move(message), std::move(hint)});
  }

  void file(const Source& s, int index) {
    text::YamlFile yaml = text::parse_yaml(s.content);
    for (auto& p : yaml.problems) {
      complete_ = false;
      add(p.code, {s.name, p.at.line, p.at.column}, {}, std::move(p.message), std::move(p.hint));
    }
    for (Node& node : yaml.documents) {
      stamp_source(node, index);
      const auto kind = identify(node);
      if (!kind) {
        complete_ = false;
        continue;
      }
      normalise(*kind, node);
      write({*kind, name_of(node), node.start, index, std::move(node)});
    }
  }

  static std::string name_of(const Node& node) {
    const Node* metadata = node.find("metadata");
    const Node* name = metadata == nullptr ? nullptr : metadata->find("name");
    return name == nullptr || name->kind != Node::Kind::scalar ? std::string() : name->text;
  }

  // A new document, or a later writing of one that is there.
  void write(Writing w) {
    const auto it = std::find_if(writings_.begin(), writings_.end(), [&](const Writing& other) {
      return !w.name.empty() && other.kind == w.kind && other.name == w.name;
    });
    if (it == writings_.end() || purpose_ == Purpose::serve) {
      writings_.push_back(std::move(w));
    } else if (it->last == w.last) {
      duplicate(w.kind, w.name, place(*w.node.find("metadata")->find("name")),
                documents().position(it->first));
    } else {
      merge(w.kind, it->node, w.node);
      it->last = w.last;
    }
  }

  void duplicate(DocumentKind kind, const std::string& name, Position at, const Position& first) {
    add("duplicate_document", std::move(at), "metadata.name",
        fmt::format("there is a {} {} already, at {}", kind_name(kind), name, first.str()),
        "rename or remove one of them");
  }

  // What kind the document says it is; nothing if it does not, then findings say so.
  std::optional<DocumentKind> identify(const Node& node) {
    const Position at = place(node);
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
      add("unknown_api_version", place(*version), "apiVersion",
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
      add("missing_field", at, "kind", "kind is missing", "add kind: " + kinds());
      return std::nullopt;
    }
    if (!good) return std::nullopt;
    const auto known = kind_of(kind->text);
    if (!known) {
      std::string hint = text::did_you_mean(kind->text, kind_names());
      if (hint.empty()) hint = "write kind: " + kinds();
      add("unknown_kind", place(*kind), "kind", fmt::format("there is no kind '{}'", kind->text),
          std::move(hint));
      return std::nullopt;
    }
    return known;
  }

  static std::string kinds() { return text::join_words(kind_names(), "or"); }

  void document(Writing& w) {
    std::vector<Finding> wrong;
    check_document(w.kind, purpose_, documents().files, w.node, wrong);
    // A missing apiVersion was told by identify() with a better hint.
    std::erase_if(wrong,
                  [](const Finding& f) { return f.code == "missing_field" && f.path == "apiVersion"; });
    std::move(wrong.begin(), wrong.end(), std::back_inserter(result_.findings));
    const std::string name = Reader(w.kind, documents().files, w.node).value("metadata.name").text;
    if (name.empty()) {
      complete_ = false;  // whoever refers to it cannot be judged
      return;
    }
    documents().all.push_back({w.kind, name, documents().position(w.first), std::move(w.node)});
    const Reader reader(documents(), documents().all.back());
    switch (w.kind) {
      case DocumentKind::model:
        return keep(result_.documents.models, bind_model(reader, purpose_, result_.findings), w.kind, reader);
      case DocumentKind::provider:
        return keep(result_.documents.providers, bind_provider(reader, result_.findings), w.kind, reader);
      case DocumentKind::route:
        return keep(result_.documents.routes, bind_route(reader, result_.findings), w.kind, reader);
      case DocumentKind::tenant:
        if (!result_.documents.tenants.contains(name))
          tenant_routes_.emplace(name, reader.texts("spec.routes"));
        return keep(result_.documents.tenants, bind_tenant(reader, result_.findings), w.kind, reader);
      case DocumentKind::platform:
        return name_once(result_.documents.platforms, name);
      case DocumentKind::training_run:
        return name_once(result_.documents.training_runs, name);
    }
  }

  static void name_once(std::vector<std::string>& names, const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }

  template <class T>
  void keep(std::map<std::string, T>& all, T value, DocumentKind kind, const Reader& reader) {
    const auto [it, fresh] = all.try_emplace(value.name, value);
    if (!fresh) duplicate(kind, value.name, reader.at("metadata.name"), it->second.at);
  }

  Position place(const Node& node) { return documents().position(node.start); }

  // By file as given, line, column; what stands at one place keeps its order.
  void sort() {
    using Key = std::tuple<std::size_t, int, int, std::size_t>;
    std::vector<std::pair<Key, Finding>> keyed;
    for (Finding& f : result_.findings) {
      const auto& files = documents().files;
      const auto it = std::find(files.begin(), files.end(), f.at.file);
      keyed.emplace_back(Key(it - files.begin(), f.at.line, f.at.column, keyed.size()), std::move(f));
    }
    std::sort(keyed.begin(), keyed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    result_.findings.clear();
    for (auto& [key, finding] : keyed) result_.findings.push_back(std::move(finding));
  }

  DecodeResult result_;
  std::vector<Writing> writings_;
  TenantRoutes tenant_routes_;
  Purpose purpose_;
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

DecodeResult decode(const std::vector<Source>& sources, Purpose purpose, bool complete) {
  return Decoder(purpose, complete).run(sources);
}

Result<Documents> in_environment(const Documents& documents, std::string_view platform,
                                 std::string_view environment, std::vector<Finding>& out) {
  static constexpr std::string_view kPlace = "spec.delivery.environments";
  const Document* found = documents.find(DocumentKind::platform, platform);
  if (found == nullptr)
    return fail("unknown_reference", fmt::format("there is no Platform {}", platform),
                text::did_you_mean(platform, std::span<const std::string>(documents.platforms)));
  std::vector<std::string> names;
  const Node* overlay = nullptr;
  for (const auto& [name, reader] : Reader(documents, *found).named(kPlace)) {
    names.push_back(name);
    if (name == environment) overlay = &reader.node();
  }
  if (overlay == nullptr)
    return fail("unknown_reference",
                fmt::format("the Platform {} has no environment {}", platform, environment),
                text::did_you_mean(environment, std::span<const std::string>(names)));
  Documents changed = documents;
  for (Document& d : changed.all) {
    if (d.kind != DocumentKind::platform || d.name != platform) continue;
    Node patch = *overlay;
    std::erase_if(patch.members,
                  [](const text::Member& m) { return m.key == "after" || m.key == "approval"; });
    for (text::Member& m : d.node.members) {
      if (m.key == "spec") merge(d.kind, m.value, patch, "spec");
    }
  }
  DecodeResult result = Decoder(Purpose::platform, true).again(changed);
  std::move(result.findings.begin(), result.findings.end(), std::back_inserter(out));
  return std::move(result.documents);
}

}  // namespace tg::spec
