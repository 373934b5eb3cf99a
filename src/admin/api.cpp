#include "admin/api.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>

#include "admin/keys_api.hpp"
#include "admin/log_tail.hpp"
#include "admin/usage_api.hpp"
#include "base/clock.hpp"
#include "text/suggest.hpp"

namespace tg::admin {

namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& j) { return j.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace); }

Result<std::int64_t> number_of(const Request& request, const char* name, std::int64_t otherwise) {
  const auto it = request.query.find(name);
  if (it == request.query.end()) return otherwise;
  std::int64_t value = 0;
  const std::string& text = it->second;
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (bad != std::errc() || end != text.data() + text.size() || value < 0) {
    return fail("query_invalid", fmt::format("{}={}: not a whole number from 0", name, text));
  }
  return value;
}

Result<bool> flag_of(const Request& request, const char* name) {
  const auto it = request.query.find(name);
  if (it == request.query.end()) return false;
  if (it->second == "true" || it->second.empty()) return true;
  if (it->second == "false") return false;
  return fail("query_invalid", fmt::format("{}={}: neither true nor false", name, it->second));
}

// A parameter that means nothing here is a mistake of the caller, dryRun above all.
Result<> only_query(const Request& request, const std::vector<std::string>& known) {
  for (const auto& [name, value] : request.query) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return fail("query_invalid", fmt::format("unknown query parameter {}", name),
                  text::did_you_mean(name, known));
    }
  }
  return {};
}

Result<Json> parsed_models(Sources& sources) {
  const auto text = sources.models_json();
  if (!text) return std::unexpected(text.error());
  Json j = Json::parse(*text, nullptr, false);
  if (!j.is_object() || !j.contains("items"))
    return fail("internal_error", "the list of models is not readable", "tidegate diagnose");
  return j;
}

// The item of one Model, or model_not_found with the nearest names.
Result<Json> model_item(Sources& sources, const std::string& name) {
  auto models = parsed_models(sources);
  if (!models) return std::unexpected(models.error());
  std::vector<std::string> names;
  for (Json& item : (*models)["items"]) {
    if (item.value("name", "") == name) return std::move(item);
    names.push_back(item.value("name", ""));
  }
  std::string hint = text::did_you_mean(name, names);
  if (hint.empty()) hint = "`tidegate models` lists them";
  return fail("model_not_found", fmt::format("there is no Model '{}'", name), hint);
}

Result<std::string> get_status(Sources& sources) {
  const auto status = sources.status();
  if (!status) return std::unexpected(status.error());
  const Status& s = *status;
  Json j;
  j["version"] = s.version;
  j["pid"] = s.pid;
  j["state"] = s.draining ? "draining" : "serving";
  j["startedAt"] = format_utc(s.started_utc_ns);
  j["listen"] = s.listen;
  j["console"] = s.console;
  j["data"] = s.data;
  j["workers"] = s.workers;
  j["connections"] = s.connections;
  j["inFlight"] = s.in_flight;
  j["documents"] = {{"files", s.files},         {"generation", s.generation}, {"models", s.models},
                    {"providers", s.providers}, {"routes", s.routes},         {"tenants", s.tenants}};
  j["lastReload"] = {
      {"ok", s.reload.ok}, {"at", format_utc(s.reload.at_utc_ns)}, {"findings", s.reload.findings}};
  j["keys"] = sources.keys().active();
  Json providers = Json::array();
  for (const ProviderStatus& p : s.provider_status) {
    Json item;
    item["name"] = p.name;
    item["url"] = p.url;
    item["models"] = p.models;
    item["state"] = p.ready ? "ready" : "failed";
    if (!p.ready)
      item["reason"] = {{"code", p.reason.code}, {"text", p.reason.message}, {"hint", p.reason.hint}};
    providers.push_back(std::move(item));
  }
  j["providers"] = std::move(providers);
  auto models = parsed_models(sources);
  if (!models) return std::unexpected(models.error());
  j["models"] = std::move((*models)["items"]);
  return dump(j);
}

Result<std::string> get_logs(const Request& request, Sources& sources, const std::string& model) {
  if (auto r = only_query(request, {"replica", "lines", "after"}); !r) return std::unexpected(r.error());
  if (auto item = model_item(sources, model); !item) return std::unexpected(item.error());
  const auto lines = number_of(request, "lines", 100);
  if (!lines) return std::unexpected(lines.error());
  std::optional<std::int64_t> after, replica;
  for (const auto& [name, target] : {std::pair{"after", &after}, std::pair{"replica", &replica}}) {
    if (!request.query.contains(name)) continue;
    const auto n = number_of(request, name, 0);
    if (!n) return std::unexpected(n.error());
    *target = *n;
  }
  const auto files = sources.logs(model);
  if (!files) return std::unexpected(files.error());
  Json items = Json::array();
  for (const LogFilePath& f : *files) {
    if (replica && f.replica != *replica) continue;
    const auto part = read_log_part(f.path, *lines, after);
    if (!part) return std::unexpected(part.error());
    items.push_back({{"replica", f.replica}, {"path", f.path}, {"text", part->text}, {"next", part->next}});
  }
  return dump({{"items", std::move(items)}});
}

// ---- The table of endpoints ----

struct Call {
  const Request& request;
  Sources& sources;
  std::string name;  // what {name} stood for
};

struct Endpoint {
  const char* method;
  const char* pattern;  // below /api/v1; {name} is one segment
  bool needs_trust;     // changes, and what engines may have written about their prompts
  int status;
  const char* query;  // for the reference page
  const char* meaning;
  std::function<Result<Response>(const Call&)> run;
};

// Most answers are JSON text with the endpoint's status.
Result<Response> json_answer(Result<std::string> body) {
  if (!body) return std::unexpected(std::move(body.error()));
  Response response;
  response.body = std::move(*body);
  return response;
}

Result<bool> dry_run(const Request& request) {
  if (auto r = only_query(request, {"dryRun"}); !r) return std::unexpected(r.error());
  return flag_of(request, "dryRun");
}

const std::array<Endpoint, 9>& endpoints() {
  static const std::array<Endpoint, 9> kEndpoints = {{
      {"GET", "/status", false, 200, "",
       "What runs: version, addresses, documents and their last load, keys, Providers, Models.",
       [](const Call& c) -> Result<Response> {
         if (auto r = only_query(c.request, {}); !r) return std::unexpected(r.error());
         return json_answer(get_status(c.sources));
       }},
      {"GET", "/models", false, 200, "",
       "All Models: state, replicas, requests running and held, and why not ready.",
       [](const Call& c) -> Result<Response> {
         if (auto r = only_query(c.request, {}); !r) return std::unexpected(r.error());
         return json_answer(c.sources.models_json());
       }},
      {"GET", "/models/{name}", false, 200, "", "One Model as in the list.",
       [](const Call& c) -> Result<Response> {
         if (auto r = only_query(c.request, {}); !r) return std::unexpected(r.error());
         const auto item = model_item(c.sources, c.name);
         if (!item) return std::unexpected(item.error());
         return json_answer(dump(*item));
       }},
      {"GET", "/models/{name}/explain", false, 200, "",
       "One Model with its last decisions and their inputs, the limit that bound them, the last starts and "
       "learned figures.",
       [](const Call& c) -> Result<Response> {
         if (auto r = only_query(c.request, {}); !r) return std::unexpected(r.error());
         if (auto item = model_item(c.sources, c.name); !item) return std::unexpected(item.error());
         return json_answer(c.sources.explain_json(c.name));
       }},
      {"GET", "/models/{name}/logs", true, 200, "replica, lines (100), after",
       "The last lines that the engines of a Model wrote, or what came after an offset.",
       [](const Call& c) { return json_answer(get_logs(c.request, c.sources, c.name)); }},
      {"GET", "/keys", true, 200, "",
       "All keys, revoked ones too: first characters, name, tenant, models, limits. Never a whole key.",
       [](const Call& c) -> Result<Response> {
         if (auto r = only_query(c.request, {}); !r) return std::unexpected(r.error());
         return json_answer(list_keys(c.sources));
       }},
      {"POST", "/keys", true, 201, "dryRun=true",
       "Makes keys from {name, tenant, models, limits: {requestsPerMinute, tokensPerMinute, concurrent}, "
       "count}, all optional. The answer is the only place where `key` stands.",
       [](const Call& c) -> Result<Response> {
         const auto dry = dry_run(c.request);
         if (!dry) return std::unexpected(dry.error());
         return json_answer(create_keys(c.sources, c.request.body, *dry));
       }},
      {"POST", "/keys/revoke", true, 200, "dryRun=true",
       "Revokes the one active key that {key} names: its name, its first characters or its text. Holds in "
       "every worker when the answer comes.",
       [](const Call& c) -> Result<Response> {
         const auto dry = dry_run(c.request);
         if (!dry) return std::unexpected(dry.error());
         return json_answer(revoke_key(c.sources, c.request.body, *dry));
       }},
      {"GET", "/usage", true, 200, "by, since, until, format=csv; or requests=true, limit",
       "Sums of requests and tokens by key, tenant, model, route, outcome, day, hour or minute, reported and "
       "estimated apart; or single requests.",
       [](const Call& c) -> Result<Response> {
         if (auto r = only_query(c.request, {"by", "since", "until", "requests", "limit", "format"}); !r)
           return std::unexpected(r.error());
         return get_usage(c.request, c.sources);
       }},
  }};
  return kEndpoints;
}

std::vector<std::string_view> segments_of(std::string_view path) {
  std::vector<std::string_view> out;
  while (path.starts_with('/')) {
    path.remove_prefix(1);
    const std::size_t end = std::min(path.find('/'), path.size());
    out.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return out;
}

// True: the segments fit the pattern; `name` is then what {name} stood for.
bool matches(std::string_view pattern, const std::vector<std::string_view>& segments, std::string& name) {
  const auto wanted = segments_of(pattern);
  if (wanted.size() != segments.size()) return false;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == "{name}") {
      name = percent_decode(segments[i], false);
      if (name.empty()) return false;
    } else if (wanted[i] != segments[i]) {
      return false;
    }
  }
  return true;
}

Response refuse(const Error& error) {
  Response response;
  response.status = error_status(error.code);
  response.body = error_json(error);
  return response;
}

}  // namespace

std::string error_json(const Error& error) {
  return dump({{"error", {{"code", error.code}, {"message", error.message}, {"hint", error.hint}}}});
}

int error_status(std::string_view code) {
  struct Row {
    std::string_view code;
    int status;
  };
  static constexpr std::array<Row, 16> kRows = {{{"not_found", 404},
                                                 {"model_not_found", 404},
                                                 {"key_not_found", 404},
                                                 {"tenant_not_found", 404},
                                                 {"method_not_allowed", 405},
                                                 {"key_required", 401},
                                                 {"bad_request", 400},
                                                 {"query_invalid", 400},
                                                 {"key_count_invalid", 400},
                                                 {"key_name_invalid", 400},
                                                 {"key_name_taken", 409},
                                                 {"key_ambiguous", 409},
                                                 {"not_running", 503},
                                                 {"shutting_down", 503},
                                                 {"control_timeout", 504},
                                                 {"internal_error", 500}}};
  for (const Row& row : kRows) {
    if (row.code == code) return row.status;
  }
  return 500;
}

std::string api_markdown() {
  std::string page =
      "# Admin API\n\n"
      "The command line and the console speak to a running tidegate by this API: over "
      "`DIR/run/control.sock`, which only its\n"
      "user can open, everything is allowed; on the console port (`--console`) only reading what is marked "
      "*open*.\n\n"
      "Lists are `{\"items\":[...]}`, errors `{\"error\":{\"code\",\"message\",\"hint\"}}` with a code of "
      "[reasons](reasons.md), times\n"
      "RFC 3339 in UTC. With `dryRun=true` a change is checked in full and not made; the answer has the same "
      "form.\n\n"
      "<!-- Made from the table in src/admin/api.cpp; a test compares. -->\n\n"
      "| method and path | query | status | open | |\n|---|---|---|---|---|\n";
  for (const Endpoint& e : endpoints()) {
    page += fmt::format("| `{} /api/v1{}` | {} | {} | {} | {} |\n", e.method, e.pattern, e.query, e.status,
                        e.needs_trust ? "no" : "yes", e.meaning);
  }
  return page;
}

Response handle(const Request& request, Sources& sources) {
  constexpr std::string_view kPrefix = "/api/v1";
  const std::string_view path = request.path;
  std::string allowed;
  if (path.starts_with(kPrefix)) {
    const auto segments = segments_of(path.substr(kPrefix.size()));
    for (const Endpoint& e : endpoints()) {
      Call call{request, sources, {}};
      if (!matches(e.pattern, segments, call.name)) continue;
      if (request.method != e.method) {
        allowed += (allowed.empty() ? "" : ", ") + std::string(e.method);
        continue;
      }
      if (e.needs_trust && !request.trusted) {
        return refuse({"key_required", fmt::format("{} {} needs an admin key", request.method, request.path),
                       "use the tidegate command on this machine"});
      }
      auto response = e.run(call);
      if (!response) return refuse(response.error());
      response->status = e.status;
      return std::move(*response);
    }
  }
  if (!allowed.empty()) {
    Response response =
        refuse({"method_not_allowed", fmt::format("{} is not possible on {}", request.method, request.path),
                fmt::format("use {}", allowed)});
    response.allow = allowed;
    return response;
  }
  return refuse(
      {"not_found", fmt::format("the admin API has no {}", request.path), "see docs/reference/admin-api.md"});
}

}  // namespace tg::admin
