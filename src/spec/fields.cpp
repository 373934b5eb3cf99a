#include "spec/fields.hpp"

#include <algorithm>
#include <array>
#include <unordered_map>

namespace tg::spec {

namespace {

constexpr std::array<std::string_view, 6> kKindNames{"Model",  "Provider", "Route",
                                                     "Tenant", "Platform", "TrainingRun"};
constexpr std::array<DocumentKind, 6> kDecoded{DocumentKind::model,    DocumentKind::provider,
                                               DocumentKind::route,    DocumentKind::tenant,
                                               DocumentKind::platform, DocumentKind::training_run};

// Parent → fields below it, of one kind.
using Index = std::unordered_map<std::string_view, std::vector<const Field*>>;

Index make_index(DocumentKind kind) {
  Index index;
  for (const Field& f : fields(kind)) index[f.parent()].push_back(&f);
  const Index own = index;
  for (const Field& f : fields(kind)) {
    if (f.like.empty()) continue;
    const auto source = own.find(f.like);
    if (source == own.end()) continue;
    auto& members = index[f.path];
    for (const Field* member : source->second) {
      const bool there = std::any_of(members.begin(), members.end(),
                                     [&](const Field* m) { return m->leaf() == member->leaf(); });
      if (!there) members.push_back(member);
    }
  }
  return index;
}

// Built at the first use and never changed.
const Index& index_of(DocumentKind kind) {
  static const std::array<Index, kKindNames.size()> indices = [] {
    std::array<Index, kKindNames.size()> made;
    for (const DocumentKind k : kDecoded) made[static_cast<std::size_t>(k)] = make_index(k);
    return made;
  }();
  return indices[static_cast<std::size_t>(kind)];
}

}  // namespace

std::string_view kind_name(DocumentKind kind) { return kKindNames[static_cast<std::size_t>(kind)]; }

std::optional<DocumentKind> kind_of(std::string_view name) {
  const auto it = std::find(kKindNames.begin(), kKindNames.end(), name);
  if (it == kKindNames.end()) return std::nullopt;
  return static_cast<DocumentKind>(it - kKindNames.begin());
}

std::span<const std::string_view> kind_names() { return kKindNames; }

std::span<const DocumentKind> decoded_kinds() { return kDecoded; }

std::span<const DocumentKind> serving_kinds() { return std::span(kDecoded).first(4); }

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

const Field* resolve_field(DocumentKind kind, std::string_view path) {
  const Field* at = nullptr;
  std::string table;
  while (true) {
    const std::size_t dot = path.find('.');
    std::string_view name = path.substr(0, dot);
    if (name.ends_with(']')) name = name.substr(0, name.find('['));
    const auto& members = children(kind, table);
    const auto it = std::find_if(members.begin(), members.end(), [&](const Field* f) {
      return f->leaf() == name || (f->leaf() == "*" && !name.empty());
    });
    if (it == members.end()) return nullptr;
    at = *it;
    if (dot == std::string_view::npos) return at;
    table = inside(*at);
    path.remove_prefix(dot + 1);
  }
}

const std::vector<const Field*>& children(DocumentKind kind, std::string_view parent) {
  static const std::vector<const Field*> none;
  const Index& index = index_of(kind);
  const auto it = index.find(parent);
  return it == index.end() ? none : it->second;
}

std::string inside(const Field& field) {
  return std::string(field.path) + (field.type == Type::object_list ? "[]" : "");
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
    case Type::map:
      return "a map of names";
    case Type::text_map:
      return "a map of texts";
    case Type::resources:
      return "a map of quantities";
    case Type::count:
      return "a whole number or {min, max}";
    case Type::secret_ref:
      return "the place of a secret";
    case Type::quantity:
      return "a quantity";
    case Type::cidr:
      return "a network";
    case Type::ip:
      return "an IP address";
    case Type::host:
      return "a DNS name";
    case Type::host_port:
      return "a host and port";
    case Type::email:
      return "an e-mail address";
    case Type::cron:
      return "a schedule";
    case Type::window:
      return "days and hours";
    case Type::taint:
      return "a taint";
    case Type::rate:
      return "a rate";
    case Type::version:
      return "a version";
    case Type::tag:
      return "a tag";
    case Type::image:
      return "an image";
    case Type::given:
      return "text or {env: NAME}";
    case Type::time_zone:
      return "a time zone";
    case Type::url_path:
      return "a path";
    case Type::qualified:
      return "the name of a label or resource";
    case Type::label_value:
      return "the value of a label";
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
    case Type::map:
      return "{NAME: …}";
    case Type::text_map:
      return "{NAME: TEXT}";
    case Type::resources:
      return "{cpu: 500m, memory: 1Gi}";
    case Type::count:
      return "{min: 1, max: 3}";
    case Type::secret_ref:
      return "{secretRef: NAME}";
    case Type::quantity:
      return "10Gi";
    case Type::cidr:
      return "10.0.0.0/16";
    case Type::ip:
      return "192.0.2.10";
    case Type::host:
      return "app.example.com";
    case Type::host_port:
      return "smtp.example.com:587";
    case Type::email:
      return "team@example.com";
    case Type::cron:
      return "\"0 2 * * *\"";
    case Type::window:
      return "\"Sun 03:00-05:00\"";
    case Type::taint:
      return "\"dedicated=gpu:NoSchedule\"";
    case Type::rate:
      return "100/s";
    case Type::version:
      return "\"1.35\"";
    case Type::tag:
      return "\"1.4.2\"";
    case Type::image:
      return "registry.example.com/app:1.4.2";
    case Type::given:
      return "{env: NAME}";
    case Type::time_zone:
      return "Europe/Brussels";
    case Type::url_path:
      return "/api";
    case Type::qualified:
      return "tier";
    case Type::label_value:
      return "gpu";
  }
  return "NAME";
}

}  // namespace tg::spec
