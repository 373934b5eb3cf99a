#include "spec/fields.hpp"

#include <algorithm>
#include <array>

namespace tg::spec {

namespace {

constexpr std::array<std::string_view, 6> kKindNames{"Model",  "Provider", "Route",
                                                     "Tenant", "Platform", "TrainingRun"};
constexpr std::array<DocumentKind, 4> kDecoded{DocumentKind::model, DocumentKind::provider,
                                               DocumentKind::route, DocumentKind::tenant};

}  // namespace

std::string_view kind_name(DocumentKind kind) { return kKindNames[static_cast<std::size_t>(kind)]; }

std::optional<DocumentKind> kind_of(std::string_view name) {
  const auto it = std::find(kKindNames.begin(), kKindNames.end(), name);
  if (it == kKindNames.end()) return std::nullopt;
  return static_cast<DocumentKind>(it - kKindNames.begin());
}

std::span<const std::string_view> kind_names() { return kKindNames; }

std::span<const DocumentKind> decoded_kinds() { return kDecoded; }

std::string_view Field::leaf() const {
  const std::size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

std::string_view Field::parent() const {
  const std::size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? std::string_view{} : path.substr(0, dot);
}

const Field* find_field(DocumentKind kind, std::string_view path) {
  const auto all = fields(kind);
  const auto it = std::find_if(all.begin(), all.end(), [&](const Field& f) { return f.path == path; });
  return it == all.end() ? nullptr : &*it;
}

std::vector<const Field*> children(DocumentKind kind, std::string_view parent) {
  std::vector<const Field*> out;
  for (const Field& f : fields(kind)) {
    if (f.parent() == parent) out.push_back(&f);
  }
  return out;
}

std::vector<std::string_view> split_words(std::string_view words) {
  std::vector<std::string_view> out;
  while (!words.empty()) {
    const std::size_t bar = std::min(words.find('|'), words.size());
    out.push_back(words.substr(0, bar));
    words.remove_prefix(std::min(bar + 1, words.size()));
  }
  return out;
}

std::string_view type_name(Type type) {
  switch (type) {
    case Type::object:
      return "a map";
    case Type::one_of:
    case Type::secret:
      return "a map with one entry";
    case Type::object_list:
      return "a list of maps";
    case Type::text_list:
      return "a list of texts";
    case Type::names:
      return "a list of names";
    case Type::any:
      return "anything";
    case Type::text:
      return "text";
    case Type::variable:
      return "the name of a variable";
    case Type::label:
    case Type::dotted:
      return "a name";
    case Type::model_name:
      return "a model name";
    case Type::boolean:
      return "true or false";
    case Type::integer:
      return "a whole number";
    case Type::number:
      return "a number";
    case Type::bytes:
      return "a size in bytes";
    case Type::duration:
      return "a duration";
    case Type::percent:
      return "a percentage";
    case Type::url:
      return "a URL";
    case Type::source:
      return "a source of weights";
    case Type::digest:
      return "a SHA-256 digest";
    case Type::choice:
      return "one of the words";
    case Type::fault_time:
      return "a moment";
    case Type::fault_act:
      return "a fault";
  }
  return "text";
}

std::string_view example(Type type) {
  switch (type) {
    case Type::object:
    case Type::any:
      return "{…}";
    case Type::one_of:
    case Type::secret:
      return "{NAME: …}";
    case Type::object_list:
      return "[{…}]";
    case Type::text_list:
    case Type::names:
      return "[NAME]";
    case Type::text:
    case Type::label:
    case Type::dotted:
    case Type::model_name:
    case Type::choice:
      return "NAME";
    case Type::variable:
      return "OPENAI_API_KEY";
    case Type::boolean:
      return "true";
    case Type::integer:
    case Type::number:
      return "1";
    case Type::bytes:
      return "4Gi";
    case Type::duration:
      return "30s";
    case Type::percent:
      return "20%";
    case Type::url:
      return "https://HOST/v1";
    case Type::source:
      return "hf://OWNER/REPO/FILE.gguf";
    case Type::digest:
      return "64 hexadecimal digits";
    case Type::fault_time:
      return "firstByte";
    case Type::fault_act:
      return "exit";
  }
  return "NAME";
}

}  // namespace tg::spec
