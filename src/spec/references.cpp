#include "spec/references.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "spec/bind.hpp"
#include "text/suggest.hpp"

namespace tg::spec {

namespace {

void add(std::vector<Finding>& out, std::string_view code, const text::Position& at, std::string path,
         std::string message, std::string hint) {
  out.push_back(
      {std::string(code), Severity::error, at, std::move(path), std::move(message), std::move(hint)});
}

template <class T>
std::vector<std::string> names_of(const std::map<std::string, T>& named) {
  std::vector<std::string> out;
  out.reserve(named.size());
  for (const auto& [name, value] : named) out.push_back(name);
  return out;
}

// Hints that compare a wrong name with all names there are. The cost is their product, so a load that is
// wrong everywhere gets only the first ones.
class Proposals {
 public:
  // "did you mean …", else what there is.
  template <class T>
  std::string choose(std::string_view word, const std::map<std::string, T>& named, std::string_view what) {
    if (named.empty()) return fmt::format("add a {}, or remove the entry", what);
    if (left_ == 0) return fmt::format("name a {} of these documents", what);
    --left_;
    const std::vector<std::string> names = names_of(named);
    std::string hint = text::did_you_mean(word, std::span<const std::string>(names));
    return hint.empty() ? list(names, what) : hint;
  }

  static std::string list(const std::vector<std::string>& names, std::string_view what) {
    const std::size_t shown = std::min<std::size_t>(names.size(), 5);
    const std::vector<std::string_view> first(names.begin(),
                                              names.begin() + static_cast<std::ptrdiff_t>(shown));
    return fmt::format("{} {} {}{}", what, names.size() == 1 ? "can only be" : "can be",
                       text::join_words(first, "or"), names.size() > shown ? " …" : "");
  }

 private:
  int left_ = 50;
};

// The Provider that offers a model of this name, empty if there is none.
std::string offered_by(const Documents& documents, const std::string& model) {
  for (const auto& [name, provider] : documents.providers) {
    if (std::any_of(provider.models.begin(), provider.models.end(),
                    [&](const ProviderModel& m) { return m.name == model; })) {
      return name;
    }
  }
  return {};
}

void check_target(const Documents& documents, const Target& target, const std::string& path,
                  Proposals& proposals, std::vector<Finding>& out) {
  if (target.model.empty()) return;  // found missing or wrong already
  if (target.provider.empty()) {
    if (documents.models.contains(target.model)) return;
    const std::string provider = offered_by(documents, target.model);
    add(out, "unknown_reference", target.at, path + ".model",
        fmt::format("there is no Model {}", target.model),
        provider.empty() ? proposals.choose(target.model, documents.models, "Model")
                         : fmt::format("the Provider {0} has it: write {{provider: {0}, model: {1}}}",
                                       provider, target.model));
    return;
  }
  const auto provider = documents.providers.find(target.provider);
  if (provider == documents.providers.end()) {
    add(out, "unknown_reference", target.at, path + ".provider",
        fmt::format("there is no Provider {}", target.provider),
        proposals.choose(target.provider, documents.providers, "Provider"));
    return;
  }
  std::map<std::string, int> offered;
  for (const ProviderModel& m : provider->second.models) offered.emplace(m.name, 0);
  if (offered.contains(target.model)) return;
  add(out, "unknown_reference", target.at, path + ".model",
      fmt::format("the Provider {} offers no model {}", target.provider, target.model),
      proposals.choose(target.model, offered, fmt::format("model of {}", target.provider)));
}

// Gives each Model and each model of a Provider its Route, unless a document has that name.
void imply_routes(Documents& documents, std::vector<Finding>& out) {
  std::map<std::string, std::string> makers;  // of implied Routes: "the Model x", for messages
  const auto imply = [&](const std::string& name, Target target, std::string maker) {
    const auto found = documents.routes.find(name);
    if (found == documents.routes.end()) {
      documents.routes.emplace(name, implied_route(name, std::move(target)));
      makers.emplace(name, std::move(maker));
    } else if (found->second.implied) {
      add(out, "duplicate_name", target.at, {},
          fmt::format("{} offers the name {} that {} offers too, at {}", maker, name, makers[name],
                      found->second.at.str()),
          fmt::format("write a Route {} that says where it goes", name));
    }
  };
  for (const auto& [name, model] : documents.models) {
    Target t;
    t.model = name;
    t.at = model.at;
    imply(name, std::move(t), "the Model " + name);
  }
  for (const auto& [name, provider] : documents.providers) {
    for (const ProviderModel& model : provider.models) {
      Target t;
      t.model = model.name;
      t.provider = name;
      t.at = model.at;
      imply(model.name, std::move(t), "the Provider " + name);
    }
  }
}

}  // namespace

void connect(Documents& documents, const TenantRoutes& tenant_routes, std::vector<Finding>& out) {
  Proposals proposals;
  for (const auto& [name, route] : documents.routes) {
    for (std::size_t i = 0; i < route.to.size(); ++i) {
      check_target(documents, route.to[i], fmt::format("spec.to[{}]", i), proposals, out);
    }
    for (std::size_t i = 0; i < route.fallback.size(); ++i) {
      check_target(documents, route.fallback[i].target, fmt::format("spec.fallback[{}]", i), proposals, out);
    }
  }
  imply_routes(documents, out);
  for (const auto& [tenant, entries] : tenant_routes) {
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const auto& [route, at] = entries[i];
      if (documents.routes.contains(route)) continue;
      add(out, "unknown_reference", at, fmt::format("spec.routes[{}]", i),
          fmt::format("there is no Route {}", route), proposals.choose(route, documents.routes, "Route"));
    }
  }
  if (!documents.tenants.contains("default")) documents.tenants.emplace("default", default_tenant());
}

}  // namespace tg::spec
