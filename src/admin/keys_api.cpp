#include "admin/keys_api.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "text/suggest.hpp"

namespace tg::admin {

namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& j) { return j.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace); }

Json limits_json(const ledger::Limits& limits) {
  return {{"requestsPerMinute", limits.requests_per_minute},
          {"tokensPerMinute", limits.tokens_per_minute},
          {"concurrent", limits.concurrent}};
}

Json key_json(const ledger::KeyEntry& entry) {
  Json j;
  j["id"] = entry.id;
  j["prefix"] = entry.prefix;
  j["name"] = entry.name;
  j["tenant"] = entry.tenant;
  j["models"] = entry.models;
  j["limits"] = limits_json(entry.limits);
  j["createdAt"] = format_utc(entry.created_utc_ns);
  const std::int64_t revoked = entry.revoked_utc_ns.load(std::memory_order_acquire);
  j["revokedAt"] = revoked == 0 ? Json(nullptr) : Json(format_utc(revoked));
  return j;
}

std::unexpected<Error> bad_body(const std::string& what) {
  return fail("bad_request", "the request body: " + what, "see docs/reference/admin-api.md");
}

// Members of `object` that are not among `known` are refused by name.
Result<> only(const Json& object, const std::vector<std::string>& known, const std::string& where) {
  for (const auto& [name, value] : object.items()) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return fail("bad_request", fmt::format("the request body: unknown member {}{}", where, name),
                  text::did_you_mean(name, known));
    }
  }
  return {};
}

Result<std::int64_t> count_of(const Json& object, const char* name, std::int64_t otherwise) {
  const auto it = object.find(name);
  if (it == object.end() || it->is_null()) return otherwise;
  const bool too_large = it->is_number_unsigned() && it->get<std::uint64_t>() > INT64_MAX;
  if (!it->is_number_integer() || too_large || it->get<std::int64_t>() < 0) {
    return bad_body(fmt::format("{} is not a whole number from 0", name));
  }
  return it->get<std::int64_t>();
}

struct Wanted {
  ledger::NewKey key;
  std::int64_t count = 1;
};

Result<Json> parse_object(const std::string& body) {
  Json j = body.empty() ? Json::object() : Json::parse(body, nullptr, false);
  if (!j.is_object()) return bad_body("not a JSON object");
  return j;
}

Result<Wanted> parse_wanted(const std::string& body) {
  const auto j = parse_object(body);
  if (!j) return std::unexpected(j.error());
  if (auto r = only(*j, {"name", "tenant", "models", "limits", "count"}, ""); !r)
    return std::unexpected(r.error());
  Wanted wanted;
  for (const auto& [name, target] :
       {std::pair{"name", &wanted.key.name}, std::pair{"tenant", &wanted.key.tenant}}) {
    const auto it = j->find(name);
    if (it == j->end()) continue;
    if (!it->is_string()) return bad_body(fmt::format("{} is not a string", name));
    *target = it->get<std::string>();
  }
  if (const auto it = j->find("models"); it != j->end()) {
    if (!it->is_array()) return bad_body("models is not a list");
    std::set<std::string> names;
    for (const Json& m : *it) {
      if (!m.is_string() || m.get<std::string>().empty())
        return bad_body("models holds something that is not a name");
      names.insert(m.get<std::string>());
    }
    wanted.key.models.assign(names.begin(), names.end());
  }
  if (const auto it = j->find("limits"); it != j->end()) {
    if (!it->is_object()) return bad_body("limits is not an object");
    if (auto r = only(*it, {"requestsPerMinute", "tokensPerMinute", "concurrent"}, "limits."); !r)
      return std::unexpected(r.error());
    for (const auto& [name, target] : {std::pair{"requestsPerMinute", &wanted.key.limits.requests_per_minute},
                                       std::pair{"tokensPerMinute", &wanted.key.limits.tokens_per_minute},
                                       std::pair{"concurrent", &wanted.key.limits.concurrent}}) {
      const auto n = count_of(*it, name, 0);
      if (!n) return std::unexpected(n.error());
      if (*n == 0 && it->contains(name))
        return bad_body(fmt::format("limits.{} is 0: leave it out for no limit", name));
      *target = *n;
    }
  }
  const auto count = count_of(*j, "count", 1);
  if (!count) return std::unexpected(count.error());
  wanted.count = *count;
  return wanted;
}

// What to write instead of `word`: the nearest names, else the first of all.
std::string one_of(const std::string& word, const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 8;
  std::string hint = text::did_you_mean(word, names);
  if (!hint.empty()) return hint;
  hint = "there are:";
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) hint += (i > 0 ? ", " : " ") + names[i];
  return names.size() > kShown ? hint + " and more: tidegate status" : hint;
}

}  // namespace

Result<std::string> list_keys(Sources& sources) {
  Json items = Json::array();
  for (const ledger::KeyEntry& e : sources.keys().registry().entries()) items.push_back(key_json(e));
  return dump({{"items", std::move(items)}});
}

Result<std::string> create_keys(Sources& sources, const std::string& body, bool dry_run) {
  auto wanted = parse_wanted(body);
  if (!wanted) return std::unexpected(wanted.error());
  const auto tenants = sources.tenants();
  if (!tenants.empty() && std::find(tenants.begin(), tenants.end(), wanted->key.tenant) == tenants.end()) {
    return fail("tenant_not_found", fmt::format("there is no Tenant '{}'", wanted->key.tenant),
                one_of(wanted->key.tenant, tenants));
  }
  const auto routes = sources.routes();
  for (const std::string& m : wanted->key.models) {
    if (!routes.empty() && std::find(routes.begin(), routes.end(), m) == routes.end()) {
      return fail("model_not_found", fmt::format("there is no Route '{}'", m), one_of(m, routes));
    }
  }

  const auto count = static_cast<std::size_t>(wanted->count);
  Json out;
  out["dryRun"] = dry_run;
  Json items = Json::array();
  if (dry_run) {
    const auto names = sources.keys().names_of(wanted->key, count);
    if (!names) return std::unexpected(names.error());
    for (const std::string& name : *names) {
      ledger::KeyEntry entry;
      entry.name = name;
      entry.tenant = wanted->key.tenant;
      entry.models = wanted->key.models;
      entry.limits = wanted->key.limits;
      entry.created_utc_ns = utc_now_ns();
      Json j = key_json(entry);
      j["key"] = nullptr;
      items.push_back(std::move(j));
    }
  } else {
    const auto created = sources.keys().create(wanted->key, count);
    if (!created) return std::unexpected(created.error());
    for (const ledger::CreatedKey& c : *created) {
      Json j = key_json(*c.entry);
      j["key"] = c.text;
      items.push_back(std::move(j));
    }
  }
  out["items"] = std::move(items);
  return dump(out);
}

Result<std::string> revoke_key(Sources& sources, const std::string& body, bool dry_run) {
  const auto j = parse_object(body);
  if (!j) return std::unexpected(j.error());
  if (auto r = only(*j, {"key"}, ""); !r) return std::unexpected(r.error());
  const auto it = j->find("key");
  if (it == j->end() || !it->is_string() || it->get<std::string>().empty()) {
    return bad_body("key is missing: the name, the first characters or the text of a key");
  }
  const std::string selector = it->get<std::string>();
  const auto entry = dry_run ? sources.keys().find_active(selector) : sources.keys().revoke(selector);
  if (!entry) return std::unexpected(entry.error());
  Json item = key_json(**entry);
  if (dry_run) item["revokedAt"] = format_utc(utc_now_ns());
  Json out;
  out["dryRun"] = dry_run;
  out["items"] = Json::array({std::move(item)});
  return dump(out);
}

}  // namespace tg::admin
