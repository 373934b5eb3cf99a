// tidegate keys create | list | revoke
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/admin_call.hpp"
#include "app/stdin_text.hpp"
#include "app/table.hpp"
#include "app/view.hpp"
#include "app/words.hpp"
#include "base/clock.hpp"

namespace tg::app {

namespace {

using Json = nlohmann::ordered_json;

struct CreateFlags {
  std::string data, name, tenant;
  std::vector<std::string> models;
  std::int64_t requests = 0, tokens = 0, concurrent = 0, count = 1;
  bool dry_run = false;
};

struct ListFlags {
  std::string data;
  bool all = false;
};

struct RevokeFlags {
  std::string data, key;
  bool dry_run = false;
};

std::string limits_text(const Json& key) {
  std::string text;
  const auto add = [&](const char* pointer, const char* unit) {
    const std::int64_t n = number_at(key, pointer);
    if (n > 0) text += fmt::format("{}{}{}", text.empty() ? "" : ", ", n, unit);
  };
  add("/limits/requestsPerMinute", " req/min");
  add("/limits/tokensPerMinute", " tok/min");
  add("/limits/concurrent", " at once");
  return text.empty() ? "none" : text;
}

std::string models_text(const Json& key) {
  std::string text;
  for (const Json& m : key.value("models", Json::array()))
    text += (text.empty() ? "" : ",") + m.get<std::string>();
  return text.empty() ? "all" : text;
}

std::string key_table(const Terminal& terminal, const Json& items, bool wide) {
  const std::int64_t now = utc_now_ns();
  std::vector<Table::Column> columns = {{"KEY"},    {"NAME"},  {"TENANT"}, {"MODELS"},
                                        {"LIMITS"}, {"STATE"}, {"CREATED"}};
  if (wide) columns.insert(columns.end(), {{"REVOKED"}, {"ID", true}});
  Table table(std::move(columns));
  for (const Json& k : items) {
    const std::string revoked = text_at(k, "/revokedAt");
    const std::string state = revoked.empty() ? "active" : "revoked";
    const std::string whole = text_at(k, "/key");
    std::vector<Cell> row = {
        {whole.empty() ? text_at(k, "/prefix") + (text_at(k, "/prefix").empty() ? "" : "…") : whole},
        {text_at(k, "/name")},
        {text_at(k, "/tenant")},
        {models_text(k)},
        {limits_text(k)},
        {state, state_style(state)},
        {relative_time(text_at(k, "/createdAt"), now)}};
    if (wide) {
      row.push_back({relative_time(revoked, now)});
      row.push_back({text_at(k, "/id")});
    }
    table.row(std::move(row));
  }
  return table.text(terminal);
}

Result<> print_keys(Terminal& terminal, Format format, const std::string& text) {
  if (format == Format::json || format == Format::yaml) return print_object(terminal, format, text);
  const auto j = parse_object(text);
  if (!j) return std::unexpected(j.error());
  const Json items = j->value("items", Json::array());
  if (format != Format::name) {
    terminal.out(key_table(terminal, items, format == Format::wide));
    return {};
  }
  for (const Json& k : items) {
    const std::string whole = text_at(k, "/key");
    terminal.out((whole.empty() ? text_at(k, "/prefix") : whole) + "\n");
  }
  return {};
}

Result<int> create(Terminal& terminal, const CreateFlags& flags, Format format) {
  auto call = AdminCall::open(terminal, flags.data);
  if (!call) return std::unexpected(call.error());
  Json body;
  body["name"] = flags.name;
  if (!flags.tenant.empty()) body["tenant"] = flags.tenant;
  body["models"] = flags.models;
  body["limits"] = Json::object();
  for (const auto& [name, limit] :
       {std::pair{"requestsPerMinute", flags.requests}, std::pair{"tokensPerMinute", flags.tokens},
        std::pair{"concurrent", flags.concurrent}}) {
    if (limit > 0) body["limits"][name] = limit;
  }
  body["count"] = flags.count;
  const auto text = call->post(flags.dry_run ? "/api/v1/keys?dryRun=true" : "/api/v1/keys",
                               body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  if (!text) return std::unexpected(text.error());
  if (auto r = print_keys(terminal, format, *text); !r) return std::unexpected(r.error());
  if (flags.dry_run) {
    terminal.note("nothing was created: --dry-run");
    return kGood;
  }
  terminal.note(flags.count == 1 ? "the key is shown this once; only its digest is stored"
                                 : "the keys are shown this once; only their digests are stored");
  terminal.next("tidegate usage --by key");
  return kGood;
}

// One line of stdin, for keys that must not stand on the command line.
Result<std::string> key_of_stdin() {
  auto text = read_stdin("the key");
  if (!text) return std::unexpected(text.error());
  text->resize(std::min(text->find('\n'), text->size()));
  while (!text->empty() && (text->back() == '\r' || text->back() == ' ')) text->pop_back();
  if (text->empty())
    return fail("missing_argument", "standard input holds no key", "tidegate keys revoke - < FILE");
  return text;
}

Result<int> revoke(Terminal& terminal, RevokeFlags& flags, Format format) {
  if (flags.key == "-") {
    auto key = key_of_stdin();
    if (!key) return std::unexpected(key.error());
    flags.key = std::move(*key);
  }
  auto call = AdminCall::open(terminal, flags.data);
  if (!call) return std::unexpected(call.error());
  const auto text =
      call->post(flags.dry_run ? "/api/v1/keys/revoke?dryRun=true" : "/api/v1/keys/revoke",
                 Json{{"key", flags.key}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  if (!text) return std::unexpected(text.error());
  if (auto r = print_keys(terminal, format, *text); !r) return std::unexpected(r.error());
  if (flags.dry_run) terminal.note("nothing was revoked: --dry-run");
  return kGood;
}

Result<int> list(Terminal& terminal, const ListFlags& flags, Format format) {
  auto call = AdminCall::open(terminal, flags.data);
  if (!call) return std::unexpected(call.error());
  const auto text = call->get("/api/v1/keys");
  if (!text) return std::unexpected(text.error());
  if (format == Format::json || format == Format::yaml) {
    if (auto r = print_object(terminal, format, *text); !r) return std::unexpected(r.error());
    return kGood;
  }
  // For people: the active ones, newest last.
  auto j = parse_object(*text);
  if (!j) return std::unexpected(j.error());
  Json items = Json::array();
  for (Json& k : (*j)["items"]) {
    if (flags.all || text_at(k, "/revokedAt").empty()) items.push_back(std::move(k));
  }
  if (items.empty()) {
    terminal.next("tidegate keys create --name laptop, for there is no active key");
    return kGood;
  }
  if (auto r = print_keys(terminal, format, Json{{"items", items}}.dump()); !r)
    return std::unexpected(r.error());
  return kGood;
}

}  // namespace

void add_keys(CommandLine& line) {
  Word& keys = line.root().sub("keys", "make, list and revoke the keys of clients");
  keys.example("tidegate keys create --name laptop").example("tidegate keys list");

  auto c = std::make_shared<CreateFlags>();
  Word& create_word = keys.sub("create", "make client keys; each is shown once");
  create_word.example("tidegate keys create --name laptop");
  create_word.example("tidegate keys create --name ci --model qwen3-4b --tokens-per-minute 200k");
  create_word.option("--name", "NAME", c->name, "a name for people; with --count NAME-1, NAME-2 ...");
  create_word.option("--tenant", "TENANT", c->tenant, "whose key it is (default: default)");
  create_word.list("--model", "NAME", c->models, "only this Route; repeatable (default: all)");
  create_word.number("--requests-per-minute", "N", c->requests, "limit (default: none)", 1);
  create_word.number("--tokens-per-minute", "N", c->tokens, "limit (default: none)", 1);
  create_word.number("--concurrent", "N", c->concurrent, "requests at once (default: no limit)", 1);
  create_word.number("--count", "N", c->count, "make N keys at once (default 1)", 1);
  create_word.flag("--dry-run", c->dry_run, "check everything, make nothing");
  create_word.data_flag(c->data).output_flag();
  create_word.action_result(
      [c, &create_word](Terminal& terminal) { return create(terminal, *c, create_word.format()); });

  auto l = std::make_shared<ListFlags>();
  Word& list_word = keys.sub("list", "list client keys by their first characters");
  list_word.example("tidegate keys list").example("tidegate keys list --all -o wide");
  list_word.flag("--all", l->all, "revoked ones too (JSON and YAML always hold them)");
  list_word.data_flag(l->data).output_flag();
  list_word.action_result(
      [l, &list_word](Terminal& terminal) { return list(terminal, *l, list_word.format()); });

  auto r = std::make_shared<RevokeFlags>();
  Word& revoke_word = keys.sub("revoke", "make a key invalid, at once and for ever");
  revoke_word.example("tidegate keys revoke laptop").example("tidegate keys revoke - < old-key.txt");
  revoke_word.argument("KEY", r->key, "its name, its first characters, or - to read it from stdin");
  revoke_word.flag("--dry-run", r->dry_run, "say which key it would be, revoke nothing");
  revoke_word.data_flag(r->data).output_flag();
  revoke_word.action_result(
      [r, &revoke_word](Terminal& terminal) { return revoke(terminal, *r, revoke_word.format()); });
}

}  // namespace tg::app
