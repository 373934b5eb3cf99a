#include "app/document_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <iterator>

#include "base/files.hpp"
#include "base/id.hpp"
#include "base/log.hpp"
#include "spec/load.hpp"

namespace tg::app {

namespace {

constexpr const char* kSimulated =
    "apiVersion: tidegate.dev/v1alpha1\nkind: Model\nmetadata: {name: simulated}\nspec:\n  engine: "
    "{simulated: {}}\n";

// "hf://owner/repo/Qwen3-4B-Q4_K_M.gguf" → "qwen3-4b-q4-k-m": a name that a document may have.
std::string name_of(const std::string& reference) {
  std::string name = reference.substr(reference.find_last_of("/:") + 1);
  if (name.ends_with(".gguf")) name.resize(name.size() - 5);
  for (char& c : name)
    c = std::isalnum(static_cast<unsigned char>(c)) != 0
            ? static_cast<char>(std::tolower(static_cast<unsigned char>(c)))
            : '-';
  while (!name.empty() && name.front() == '-') name.erase(0, 1);
  while (!name.empty() && name.back() == '-') name.pop_back();
  return name.empty() ? "model" : name.substr(0, 63);
}

std::string quoted(const std::string& text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

}  // namespace

DocumentSource::DocumentSource(const UpOptions& options, const std::string& dir) : paths_(options.files) {
  if (paths_.empty()) {
    paths_.push_back(dir + "/documents");
    built_in_if_empty_ = options.models.empty();
  }
  if (std::find(paths_.begin(), paths_.end(), "-") != paths_.end()) {
    standard_input_.assign(std::istreambuf_iterator<char>(std::cin), {});
  }
  for (const std::string& reference : options.models) {
    made_.push_back(
        {"--model",
         fmt::format(
             "apiVersion: tidegate.dev/v1alpha1\nkind: Model\nmetadata: {{name: {}}}\nspec: {{source: {}}}\n",
             name_of(reference), quoted(reference))});
  }
  if (options.simulated) made_.push_back({"--simulated", kSimulated});
}

std::vector<std::string> DocumentSource::Loaded::texts(spec::Severity severity) const {
  std::vector<std::string> out;
  for (const spec::Finding& f : findings) {
    if (f.severity == severity) out.push_back(f.str());
  }
  return out;
}

std::size_t DocumentSource::rank(const std::string& file) const {
  return static_cast<std::size_t>(std::find(order_.begin(), order_.end(), file) - order_.begin());
}

std::vector<std::string> DocumentSource::watched() const {
  std::vector<std::string> all = paths_;
  all.insert(all.end(), found_.begin(), found_.end());
  return all;
}

DocumentSource::Loaded DocumentSource::load() {
  Loaded result;
  std::vector<spec::Source> sources;
  std::vector<spec::Finding> unreadable;
  found_ = spec::list_files(paths_, unreadable);
  for (const std::string& path : found_) {
    if (path == "-") {
      sources.push_back({"-", standard_input_});
      continue;
    }
    auto content = read_file(path, 16 << 20);
    if (!content) {
      unreadable.push_back({content.error().code,
                            spec::Severity::error,
                            {path, 0, 0},
                            {},
                            content.error().message,
                            content.error().hint});
      continue;
    }
    sources.push_back({path, std::move(*content)});
  }
  if (sources.empty() && built_in_if_empty_) {
    // The folder may be missing altogether: that is what "no documents" looks like at the first start.
    unreadable.clear();
    if (std::none_of(made_.begin(), made_.end(), [](const auto& s) { return s.name == "--simulated"; }))
      sources.push_back({"built-in", kSimulated});
  }
  sources.insert(sources.end(), made_.begin(), made_.end());
  Sha256 sha256;
  sha256.begin();
  order_.clear();
  for (const spec::Source& source : sources) {
    order_.push_back(source.name);
    sha256.update(fmt::format("{}\n{}\n", source.name, source.content.size()));
    sha256.update(source.content);
  }
  const std::string digest = to_hex(sha256.end());
  changed_ = digest != digest_ || !unreadable.empty();
  digest_ = digest;
  static_cast<spec::DecodeResult&>(result) = spec::decode(sources);
  result.findings.insert(result.findings.begin(), unreadable.begin(), unreadable.end());
  return result;
}

}  // namespace tg::app
