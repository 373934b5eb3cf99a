// What people and programs read: colour, tables, times, redaction, fields.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "app/explain_model.hpp"
#include "app/field_text.hpp"
#include "app/model_table.hpp"
#include "app/redact.hpp"
#include "app/table.hpp"
#include "base/clock.hpp"
#include "base/id.hpp"
#include "spec/fields.hpp"

namespace tg::app {
namespace {

using Json = nlohmann::ordered_json;

TEST(Color, EachSwitchDecides) {
  const auto color = [](bool flag, bool no_color, bool dumb, bool force, bool terminal) {
    return ColorChoice{flag, no_color, dumb, force, terminal}.color();
  };
  EXPECT_TRUE(color(false, false, false, false, true));
  EXPECT_FALSE(color(false, false, false, false, false));
  EXPECT_TRUE(color(false, false, false, true, false));
  EXPECT_FALSE(color(false, false, true, false, true));
  for (const bool force : {false, true}) {
    EXPECT_FALSE(color(true, false, false, force, true));
    EXPECT_FALSE(color(false, true, false, force, true));
  }
}

TEST(Printable, NothingCanSteerATerminal) {
  EXPECT_EQ(printable("a\x1b[2Jb\r\n\tc\x7f"), "a?[2Jb?\n\tc?");
  EXPECT_EQ(printable("grün…"), "grün…");
}

TEST(Table, PadsByCodePointsAndTrimsTheEnd) {
  Terminal terminal(true);
  Table table({{"NAME"}, {"N", true}, {"WHY"}});
  table.row({{"grün"}, {"1"}, {"x"}});
  table.row({{"a"}, {"1000"}, {""}});
  EXPECT_EQ(table.text(terminal), "NAME     N  WHY\ngrün     1  x\na     1000  -\n");
}

TEST(RelativeTime, SaysHowLongAgo) {
  const std::int64_t now = 1'000'000'000LL * kSecond;  // 2001-09-09T01:46:40Z
  EXPECT_EQ(relative_time("2001-09-09T01:46:02.000Z", now), "38 s ago");
  EXPECT_EQ(relative_time("2001-09-09T01:46:45Z", now), "in 5 s");
  EXPECT_EQ(relative_time("2001-09-09T01:26:40Z", now), "20 min ago");
  EXPECT_EQ(relative_time("2001-09-08T20:46:40Z", now), "5 h ago");
  EXPECT_EQ(relative_time("2001-08-30T01:46:40Z", now), "10 d ago");
  EXPECT_EQ(relative_time("never", now), "");
}

TEST(Redact, TakesSecretsOutAndLeavesTheRest) {
  const std::string key = make_key();
  const std::string text =
      "key " + key +
      ", Authorization: Bearer abc.def-ghi and \"api_key\": \"s3cret\" HF_TOKEN=hf_abcdefghijklmnop\n"
      "https://user:pass@host/path sk-abcdefghijklmnop password='x y' tokens_in=12 tg-abcde";
  const std::string clean = redacted(text);
  for (const char* secret :
       {key.c_str() + 3, "abc.def-ghi", "s3cret", "abcdefghijklmnop", "user:pass", "x y"}) {
    EXPECT_EQ(clean.find(secret), std::string::npos) << secret << " in " << clean;
  }
  for (const char* kept : {"@host/path", "tokens_in=12", "tg-abcde", "key tg-[redacted], "}) {
    EXPECT_NE(clean.find(kept), std::string::npos) << kept << " not in " << clean;
  }
  EXPECT_EQ(redacted(""), "");
}

TEST(Fields, AreFoundByEveryNameOfTheirs) {
  for (const char* what :
       {"Model.spec.hold.deadline", "model.hold.deadline", "hold.deadline", "spec.hold.deadline"}) {
    const auto found = find_fields(what);
    ASSERT_EQ(found.size(), 1U) << what;
    EXPECT_EQ(found[0].field->path, "spec.hold.deadline") << what;
  }
  EXPECT_EQ(find_fields("to[0].weight").size(), 1U);
  EXPECT_GE(find_fields("metadata.name").size(), 4U);
  EXPECT_EQ(find_fields("model").size(), 1U);
  EXPECT_TRUE(find_fields("hold.deadlin").empty());
  const Json j = fields_json(find_fields("Model.spec.hold"));
  EXPECT_EQ(j["items"][0]["fields"].size(), spec::children(spec::DocumentKind::model, "spec.hold").size());
  EXPECT_NE(fields_text(find_fields("metadata.name")).find("Tenant.metadata.name"), std::string::npos);
}

Json model(const char* name, const char* state) {
  return {{"name", name},
          {"state", state},
          {"engine", "llamacpp"},
          {"replicas", {{"ready", 1}, {"desired", 2}, {"min", 0}, {"max", 3}}},
          {"inFlight", 4},
          {"queue", {{"held", 5}}},
          {"reason", {{"code", "c"}, {"text", "why \x1b[31m"}}}};
}

TEST(ModelTable, SickOnesComeFirst) {
  Terminal terminal(true);
  const Json items =
      Json::array({model("a", "ready"), model("b", "zero"), model("c", "failed"), model("d", "loading")});
  const std::string text = model_table(terminal, items, false);
  EXPECT_LT(text.find("\nc "), text.find("\nd "));
  EXPECT_LT(text.find("\nd "), text.find("\na "));
  EXPECT_LT(text.find("\na "), text.find("\nb "));
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("1/2"), std::string::npos);
  EXPECT_EQ(sick_models(items).size(), 1U);
}

TEST(ExplainModel, SaysTheBoundOfADecision) {
  Terminal terminal(true);
  Json m = model("a", "ready");
  m["decisions"] = Json::array(
      {{{"at", "2026-11-21T10:00:00Z"},
        {"from", 1},
        {"to", 2},
        {"rule", "targets"},
        {"text", "because"},
        {"inputs", {{"held", 3}}},
        {"bound", {{"field", "replicas.max"}, {"value", 2}, {"wanted", 4}, {"at", "m.yaml:7:3"}}}}});
  const std::string text = explain_model_text(terminal, m, true);
  EXPECT_NE(text.find("bound by replicas.max 2 (m.yaml:7:3), wanted 4"), std::string::npos) << text;
  EXPECT_NE(text.find("inputs: held=3"), std::string::npos) << text;
  EXPECT_EQ(explain_model_text(terminal, m, false).find("inputs"), std::string::npos);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace tg::app
