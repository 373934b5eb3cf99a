// Walks the field table: the rows themselves, and for each field that what a user writes there is checked and
// has an effect.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "base/files.hpp"
#include "spec/decode.hpp"
#include "spec/fields.hpp"
#include "spec/requirements.hpp"
#include "spec/value.hpp"
#include "text/emit.hpp"

namespace tg::spec {
namespace {

using Json = nlohmann::ordered_json;

bool is_scalar(Type t) {
  static const std::set<Type> deep{Type::object,    Type::one_of, Type::secret,    Type::object_list,
                                   Type::text_list, Type::names,  Type::any,       Type::map,
                                   Type::text_map,  Type::count,  Type::resources, Type::secret_ref};
  return !deep.contains(t);
}

// Written without quotes.
bool is_bare(Type t) {
  return t == Type::boolean || t == Type::integer || t == Type::number || t == Type::quantity;
}

std::string name_of(DocumentKind kind, const Field& f) {
  return fmt::format("{}.{}", kind_name(kind), f.path);
}

// Puts `value` at a table path; entries of lists are the first one.
void put(Json& document, std::string_view path, const Json& value) {
  Json* at = &document;
  while (true) {
    const std::size_t dot = path.find('.');
    std::string key(path.substr(0, dot));
    const bool entry = key.ends_with("[]");
    if (entry) key.resize(key.size() - 2);
    Json* next = &(*at)[key];
    if (entry) {
      if (!next->is_array() || next->empty()) *next = Json::array({Json::object()});
      next = &(*next)[0];
    }
    if (dot == std::string_view::npos) {
      *next = value;
      return;
    }
    at = next;
    path.remove_prefix(dot + 1);
  }
}

Json document(DocumentKind kind, std::string_view name, const Json& spec) {
  return {
      {"apiVersion", kApiVersion}, {"kind", kind_name(kind)}, {"metadata", {{"name", name}}}, {"spec", spec}};
}

// A good document of the kind in which `path` can stand.
Json base(DocumentKind kind, std::string_view path) {
  switch (kind) {
    case DocumentKind::model: {
      static const std::set<std::string_view> weights{"spec.source",  "spec.sha256", "spec.context",
                                                      "spec.command", "spec.args",   "spec.memory"};
      if (weights.contains(path)) return document(kind, "subject", {{"source", "file:///m.gguf"}});
      if (path == "spec.engine" || path.starts_with("spec.engine.llamacpp")) {
        return document(kind, "subject",
                        {{"source", "file:///m.gguf"},
                         {"engine", {{path == "spec.engine" ? "ollama" : "llamacpp", Json::object()}}}});
      }
      if (path.starts_with("spec.engine.ollama"))
        return document(kind, "subject",
                        {{"source", "ollama://m"}, {"engine", {{"ollama", Json::object()}}}});
      if (path.starts_with("spec.engine.external"))
        return document(kind, "subject", {{"engine", {{"external", {{"url", "http://h/v1"}}}}}});
      if (path.starts_with("spec.engine.vllm"))
        return document(kind, "subject", {{"engine", Json::object()}});
      if (path.starts_with("spec.engine.simulated.fail[]")) {
        return document(kind, "subject",
                        {{"engine", {{"simulated", {{"fail", Json::array({{{"request", 1}}})}}}}}});
      }
      return document(kind, "subject", {{"engine", {{"simulated", Json::object()}}}});
    }
    case DocumentKind::provider:
      return document(kind, "subject", {{"url", "https://x.example/v1"}, {"models", {"a1"}}});
    case DocumentKind::route: {
      Json d = document(kind, "subject", {{"to", Json::array({{{"model", "m1"}}, {{"model", "m2"}}})}});
      if (path.starts_with("spec.fallback[]")) d["spec"]["fallback"] = Json::array({{{"model", "m2"}}});
      return d;
    }
    default:
      return document(kind, "subject", Json::object());
  }
}

// The documents that others refer to, then the one under test, by standard ways of writing.
DecodeResult decode_with_company(const Json& subject) {
  std::string text = text::emit_yaml(subject);
  for (const std::string name : {"m1", "m2"})
    text += "---\n" + text::emit_yaml(document(DocumentKind::model, name, {{"engine", "simulated"}}));
  text += "---\n" + text::emit_yaml(document(DocumentKind::provider, "p1",
                                             {{"url", "https://y.example/v1"}, {"models", {"m1", "b1"}}}));
  text += "---\n" +
          text::emit_yaml(document(DocumentKind::route, "m1", {{"to", Json::array({{{"model", "m1"}}})}}));
  return decode({{"t.yaml", text}});
}

std::string dump(const Target& t) { return fmt::format("{}/{}*{}", t.provider, t.model, t.weight); }

// Everything that a decoded document says.
std::string dump(const Documents& d) {
  std::string out;
  const auto line = [&out](const auto&... values) {
    out += fmt::format("{}\n", fmt::join(std::vector<std::string>{fmt::to_string(values)...}, " "));
  };
  for (const auto& [name, m] : d.models) {
    line("model", name, static_cast<int>(m.engine), m.simulated.load, m.simulated.prefill, m.simulated.decode,
         m.simulated.context);
    for (const auto& f : m.simulated.fail)
      line(f.request, static_cast<int>(f.at), f.event, static_cast<int>(f.what), f.status);
    line(m.ollama.url, m.external.url, m.source, m.sha256, m.replicas_min, m.replicas_max, m.context, m.slots,
         m.memory);
    line(fmt::format("{}", m.command), fmt::format("{}", m.args), m.first_token_target,
         m.idle ? *m.idle : -1);
    line(m.hold.requests, m.hold.bytes, m.hold.deadline, m.hold.keep_alive_after);
  }
  for (const auto& [name, p] : d.providers) {
    line("provider", name, p.dialect, p.url, static_cast<int>(p.credentials.from), p.credentials.name);
    for (const auto& m : p.models) line(m.name);
  }
  for (const auto& [name, r] : d.routes) {
    line("route", name, r.implied ? 1 : 0, r.retry.attempts, r.retry.budget);
    for (const auto& t : r.to) line("to", dump(t));
    for (const auto& f : r.fallback) line("fallback", dump(f.target), f.on_errors ? 1 : 0);
    const Timeouts& t = r.timeouts;
    line(t.connect, t.tls, t.first_byte, t.between_events, t.total, t.client_stalled);
  }
  for (const auto& [name, t] : d.tenants) {
    line("tenant", name, t.all_routes ? 1 : 0, fmt::format("{}", t.routes), t.limits.requests_per_minute,
         t.limits.tokens_per_minute, t.limits.concurrent);
  }
  return out;
}

// Every row on which serving acts or which it refuses.
template <class F>
void for_each_field(F f) {
  for (const DocumentKind kind : serving_kinds()) {
    for (const Field& field : fields(kind)) {
      if (!field.platform || field.planned) f(kind, field);
    }
  }
}

template <class F>
void for_each_row(F f) {
  for (const DocumentKind kind : decoded_kinds()) {
    for (const Field& field : fields(kind)) f(kind, field);
  }
}

TEST(Table, RowsAreInOrder) {
  for_each_row([](DocumentKind kind, const Field& f) {
    SCOPED_TRACE(name_of(kind, f));
    EXPECT_EQ(find_field(kind, f.path), &f) << "the path is there twice";
    EXPECT_TRUE(f.meaning.ends_with('.')) << f.meaning;
    EXPECT_FALSE(f.reason.ends_with('.')) << f.reason;
    EXPECT_TRUE(f.like.empty() || !children(kind, f.like).empty()) << f.like;
    if (!f.shorthand.empty() && f.shorthand != "[]") {
      const auto& below = children(kind, f.path);
      EXPECT_TRUE(std::any_of(below.begin(), below.end(), [&](const Field* m) {
        return m->leaf() == f.shorthand;
      })) << f.shorthand;
    }
    if (f.type == Type::map) {
      ASSERT_EQ(children(kind, f.path).size(), 1U);
      EXPECT_EQ(children(kind, f.path).front()->leaf(), "*");
    }
    if (f.parent().empty()) return;
    std::string parent(f.parent());
    if (parent.ends_with("[]")) parent.resize(parent.size() - 2);
    const Field* p = find_field(kind, parent);
    ASSERT_NE(p, nullptr);
    EXPECT_LT(p, &f);
    EXPECT_EQ(p->type == Type::object_list, f.parent().ends_with("[]"));
    EXPECT_EQ(p->type == Type::map, f.leaf() == "*");
    EXPECT_TRUE(p->type == Type::object || p->type == Type::object_list || p->type == Type::one_of ||
                p->type == Type::secret || p->type == Type::map || p->type == Type::count);
    EXPECT_FALSE(p->platform && !f.platform) << "its map is not looked into";
  });
}

// "S1-51 F-44": rows of the requirements that there are, each once.
TEST(Table, DecidesRowsThatExist) {
  const auto coverage =
      read_file(std::string(TIDEGATE_SOURCE_DIR) + "/test/coverage/requirements.yaml", 64 << 20);
  ASSERT_TRUE(coverage) << coverage.error().message;
  std::set<std::string> named;
  for (const DocumentKind kind : decoded_kinds()) {
    for (const Field& f : fields(kind)) {
      std::istringstream rows{std::string(own_meets(kind, f))};
      std::set<std::string> own;
      for (std::string row; rows >> row;) {
        EXPECT_TRUE(own.insert(row).second) << name_of(kind, f) << " names " << row << " twice";
        EXPECT_TRUE(!outdated_text(row).empty() ||
                    coverage->find(fmt::format("\n{}:", row)) != std::string::npos)
            << name_of(kind, f) << ": " << row;
        named.insert(row);
      }
    }
  }
  EXPECT_GT(named.size(), 250U) << "most requirements are decided by a field";
  for (const Outdated& o : outdated()) EXPECT_TRUE(named.contains(std::string(o.row))) << o.row;
}

TEST(Table, DefaultsAreValues) {
  // Defaults that are said in words, because no value stands for them.
  const std::set<std::string_view> described{
      "none",          "none: a Model", "from the source",
      "from the file", "every Route",   "the engine's program on PATH"};
  for_each_row([&](DocumentKind kind, const Field& f) {
    SCOPED_TRACE(name_of(kind, f));
    if ((f.planned && !f.platform) || f.required) {
      EXPECT_TRUE(f.fallback.empty());
      return;
    }
    const bool in_map = f.leaf() == "*";
    const Field* parent = find_field(kind, f.parent());
    const bool of_union = parent != nullptr && (parent->type == Type::secret || parent->type == Type::one_of);
    const bool of_weights =
        f.path == "spec.source" || f.path == "spec.sha256";  // needed or not by other fields
    if (!is_scalar(f.type) || of_union || of_weights || in_map) return;
    ASSERT_FALSE(f.fallback.empty()) << "an optional field has a default";
    if (f.described || (!f.platform && described.contains(f.fallback))) return;
    text::Node node;
    node.plain = !f.platform || is_bare(f.type);
    node.text = f.fallback;
    const auto value = read_value(f, node);
    EXPECT_TRUE(value) << value.error().message;
    EXPECT_EQ(default_value(f).text, f.fallback);
  });
}

TEST(Table, EachFieldRefusesAWrongType) {
  for_each_field([](DocumentKind kind, const Field& f) {
    SCOPED_TRACE(name_of(kind, f));
    if (f.planned || f.platform || f.path == "apiVersion" || f.path == "kind") return;
    Json subject = base(kind, f.path);
    put(subject, f.path, is_scalar(f.type) ? Json::array({Json::array()}) : Json(7));
    const auto result = decode_with_company(subject);
    std::string path(f.path);
    for (std::size_t at = path.find("[]"); at != std::string::npos; at = path.find("[]"))
      path.replace(at, 2, "[0]");
    // A number where a union is expected names a member that does not exist.
    const bool found = std::any_of(result.findings.begin(), result.findings.end(), [&](const Finding& x) {
      return (x.path == path || x.path == path + ".7") &&
             (x.code == "wrong_type" || x.code == "unknown_field" || x.code == "secret_in_document") &&
             x.at.line > 0 && !x.hint.empty();
    });
    EXPECT_TRUE(found) << text::emit_yaml(subject) << result.text();
  });
}

TEST(Table, EachPlannedFieldIsRefused) {
  for_each_field([](DocumentKind kind, const Field& f) {
    SCOPED_TRACE(name_of(kind, f));
    if (!f.planned) return;
    Json subject = base(kind, f.path);
    put(subject, f.path, Json::object());
    const auto result = decode_with_company(subject);
    std::string path(f.path);
    for (std::size_t at = path.find("[]"); at != std::string::npos; at = path.find("[]"))
      path.replace(at, 2, "[0]");
    ASSERT_EQ(result.findings.size(), 1U) << result.text();
    EXPECT_EQ(result.findings[0].code, "not_supported_yet");
    EXPECT_EQ(result.findings[0].message, "not supported yet: " + path);
  });
}

// For each field a value other than its default; decoding with it must differ from decoding without it.
TEST(Table, EachFieldHasAnEffect) {
  const std::map<std::string, Json> samples{
      {"Model.metadata.name", "other"},
      {"Model.spec.source", "file:///other.gguf"},
      {"Model.spec.sha256", std::string(64, 'b')},
      {"Model.spec.engine", "llamacpp"},
      {"Model.spec.engine.simulated.load", "7s"},
      {"Model.spec.engine.simulated.prefill", 11.5},
      {"Model.spec.engine.simulated.decode", 12},
      {"Model.spec.engine.simulated.context", 13},
      {"Model.spec.engine.simulated.fail", Json::array({{{"request", 3}}})},
      {"Model.spec.engine.simulated.fail[].request", 9},
      {"Model.spec.engine.simulated.fail[].at", "event:4"},
      {"Model.spec.engine.simulated.fail[].do", "error:503"},
      {"Model.spec.engine.ollama.url", "http://127.0.0.1:11434"},
      {"Model.spec.engine.external.url", "http://other/v1"},
      {"Model.spec.replicas.min", 1},
      {"Model.spec.replicas.max", 5},
      {"Model.spec.context", 100},
      {"Model.spec.slots", 2},
      {"Model.spec.command", {"x"}},
      {"Model.spec.args", {"y"}},
      {"Model.spec.memory", "3Gi"},
      {"Model.spec.targets.firstToken", "9s"},
      {"Model.spec.idle", "9s"},
      {"Model.spec.hold.requests", 7},
      {"Model.spec.hold.bytes", "1Ki"},
      {"Model.spec.hold.deadline", "7s"},
      {"Model.spec.hold.keepAliveAfter", "never"},
      {"Provider.metadata.name", "other"},
      {"Provider.spec.url", "https://z.example/v1"},
      {"Provider.spec.credentials.env", "KEY"},
      {"Provider.spec.credentials.file", "/key"},
      {"Provider.spec.models", {"c1"}},
      {"Route.metadata.name", "other"},
      {"Route.spec.to", Json::array({{{"model", "m2"}}})},
      {"Route.spec.to[].model", "m2"},
      {"Route.spec.to[].provider", "p1"},
      {"Route.spec.to[].weight", 5},
      {"Route.spec.fallback", Json::array({{{"model", "m2"}}})},
      {"Route.spec.fallback[].model", "m1"},
      {"Route.spec.retry.attempts", 3},
      {"Route.spec.retry.budget", "5%"},
      {"Route.spec.timeouts.connect", "1s"},
      {"Route.spec.timeouts.tls", "1s"},
      {"Route.spec.timeouts.firstByte", "1s"},
      {"Route.spec.timeouts.betweenEvents", "1s"},
      {"Route.spec.timeouts.total", "1s"},
      {"Route.spec.timeouts.clientStalled", "1s"},
      {"Tenant.metadata.name", "other"},
      {"Tenant.spec.routes", {"m1"}},
      {"Tenant.spec.limits.requestsPerMinute", 7},
      {"Tenant.spec.limits.tokensPerMinute", "7k"},
      {"Tenant.spec.limits.concurrent", 7},
  };
  std::size_t used = 0;
  for_each_field([&](DocumentKind kind, const Field& f) {
    const std::string name = name_of(kind, f);
    SCOPED_TRACE(name);
    // Maps act by their fields; dialect and errors have one possible value each; a fallback's provider acts
    // as that of `to`.
    static const std::set<std::string_view> single{
        "apiVersion",      "kind", "spec.dialect", "spec.fallback[].when.errors", "spec.fallback[].provider",
        "spec.credentials"};
    if (f.planned || f.type == Type::object || single.contains(f.path)) return;
    const auto sample = samples.find(name);
    ASSERT_NE(sample, samples.end()) << "give this field a sample";
    ++used;
    const Json before = base(kind, f.path);
    Json after = before;
    put(after, f.path, sample->second);
    const auto without = decode_with_company(before);
    const auto with = decode_with_company(after);
    EXPECT_TRUE(without.ok()) << without.text();
    EXPECT_TRUE(with.ok()) << text::emit_yaml(after) << with.text();
    EXPECT_NE(dump(without.documents), dump(with.documents));
  });
  EXPECT_EQ(used, samples.size());
}

// Writing a default out is the same as leaving it out.
TEST(Table, DefaultsAreWhatIsDecoded) {
  for_each_field([](DocumentKind kind, const Field& f) {
    SCOPED_TRACE(name_of(kind, f));
    if (!is_scalar(f.type) || f.planned || f.required || default_value(f).text.empty()) return;
    const Json before = base(kind, f.path);
    // Model.spec.context and others need an engine that uses them: base() chose it.
    Json after = before;
    if (f.type == Type::integer) {
      put(after, f.path, default_value(f).integer);
    } else if (f.type == Type::number) {
      put(after, f.path, default_value(f).number);
    } else if (f.type == Type::boolean) {
      put(after, f.path, default_value(f).integer != 0);
    } else {
      put(after, f.path, f.fallback);
    }
    const auto with = decode_with_company(after);
    ASSERT_TRUE(with.ok()) << with.text();
    EXPECT_EQ(dump(decode_with_company(before).documents), dump(with.documents));
  });
}

}  // namespace
}  // namespace tg::spec
