// The router over a real key store and ledger in a temporary directory.
#include "admin/api.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/files.hpp"

namespace tg::admin {
namespace {

using Json = nlohmann::ordered_json;

class TestSources final : public Sources {
 public:
  TestSources() {
    char pattern[] = "/tmp/tidegate-admin-XXXXXX";
    dir_ = ::mkdtemp(pattern);
    keys_ = std::move(*ledger::KeyStore::open(dir_));
  }
  ~TestSources() override {
    keys_.reset();
    std::filesystem::remove_all(dir_);
  }
  Result<Status> status() override {
    Status s;
    s.version = "1.2.3";
    s.pid = 42;
    s.listen = "127.0.0.1:4000";
    s.files = {"models.yaml"};
    s.models = 2;
    s.reload = {false, 1'000'000'000, {"models.yaml:1:2: error[unknown_field] x"}};
    s.provider_status = {{"cloud",
                          "https://example.com/v1",
                          {"m"},
                          false,
                          {"credential_missing", "OPENAI_API_KEY is not set", "set it"}}};
    return s;
  }
  Result<std::string> models_json() override {
    return std::string(R"({"items":[{"name":"small","state":"ready"},{"name":"org/large","state":"zero"}]})");
  }
  Result<std::string> explain_json(const std::string& model) override {
    return R"({"name":")" + model + R"(","decisions":[]})";
  }
  Result<std::vector<LogFilePath>> logs(const std::string& model) override {
    return std::vector<LogFilePath>{{0, dir_ + "/" + model + "-0.log"}, {1, dir_ + "/" + model + "-1.log"}};
  }
  std::vector<std::string> tenants() override { return {"default", "research"}; }
  std::vector<std::string> routes() override { return {"small", "org/large"}; }
  ledger::KeyStore& keys() override { return *keys_; }
  Result<LedgerPlace> ledger() override { return LedgerPlace{dir_, 0}; }

  std::string dir_;

 private:
  std::unique_ptr<ledger::KeyStore> keys_;
};

class AdminApi : public ::testing::Test {
 protected:
  struct Answer {
    int status;
    Json body;
  };
  Answer call(std::string_view method, std::string_view target, std::string body = {}, bool trusted = true) {
    const Response r = handle(make_request(method, target, std::move(body), trusted), sources_);
    return {r.status, Json::parse(r.body, nullptr, false)};
  }
  std::string code(const Answer& a) {
    return a.body.is_object() && a.body.contains("error") ? a.body["error"].value("code", "") : "";
  }
  TestSources sources_;
};

TEST_F(AdminApi, StatusHoldsEverythingThatAPersonAsksFirst) {
  const Answer a = call("GET", "/api/v1/status", {}, false);
  EXPECT_EQ(a.status, 200);
  EXPECT_EQ(a.body["version"], "1.2.3");
  EXPECT_EQ(a.body["documents"]["files"][0], "models.yaml");
  EXPECT_EQ(a.body["lastReload"]["ok"], false);
  EXPECT_EQ(a.body["lastReload"]["at"], "1970-01-01T00:00:01.000Z");
  EXPECT_EQ(a.body["providers"][0]["reason"]["code"], "credential_missing");
  EXPECT_EQ(a.body["models"].size(), 2U);
  EXPECT_EQ(a.body["keys"], 0);
}

TEST_F(AdminApi, NamesOfModelsMayHoldSlashes) {
  EXPECT_EQ(call("GET", "/api/v1/models/org%2Flarge").body["state"], "zero");
  EXPECT_EQ(call("GET", "/api/v1/models/org%2Flarge/explain").body["name"], "org/large");
  const Answer missing = call("GET", "/api/v1/models/smal");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(code(missing), "model_not_found");
  EXPECT_NE(missing.body["error"]["hint"].get<std::string>().find("small"), std::string::npos);
}

TEST_F(AdminApi, RefusesWhatIsNotThere) {
  EXPECT_EQ(code(call("GET", "/api/v1/nothing")), "not_found");
  EXPECT_EQ(code(call("GET", "/status")), "not_found");
  EXPECT_EQ(code(call("GET", "/api/v1/models/")), "not_found");
  EXPECT_EQ(code(call("GET", "/api/v1/models?dryRun=true")), "query_invalid");
  const Response r = handle(make_request("PUT", "/api/v1/keys", {}, true), sources_);
  EXPECT_EQ(r.status, 405);
  EXPECT_EQ(r.allow, "GET, POST");
}

TEST_F(AdminApi, ChangesAndPrivateThingsNeedTrust) {
  for (const auto& [method, target] : {std::pair{"POST", "/api/v1/keys"},
                                       {"POST", "/api/v1/keys/revoke"},
                                       {"GET", "/api/v1/keys"},
                                       {"GET", "/api/v1/usage"},
                                       {"GET", "/api/v1/models/small/logs"}}) {
    const Answer a = call(method, target, "{}", false);
    EXPECT_EQ(a.status, 401) << target;
    EXPECT_EQ(code(a), "key_required") << target;
  }
  EXPECT_EQ(sources_.keys().active(), 0U);
}

TEST_F(AdminApi, MakesListsAndRevokesKeys) {
  const Answer made = call(
      "POST", "/api/v1/keys",
      R"({"name":"ci","tenant":"research","models":["small","small"],"limits":{"requestsPerMinute":60},"count":2})");
  ASSERT_EQ(made.status, 201) << made.body;
  ASSERT_EQ(made.body["items"].size(), 2U);
  const std::string key = made.body["items"][1]["key"];
  EXPECT_EQ(made.body["items"][1]["name"], "ci-2");
  EXPECT_EQ(made.body["items"][1]["models"], Json::array({"small"}));
  EXPECT_NE(sources_.keys().registry().find(Sha256().of(key)), nullptr);

  const Answer list = call("GET", "/api/v1/keys");
  EXPECT_EQ(list.body["items"].size(), 2U);
  EXPECT_EQ(list.body.dump().find(key), std::string::npos) << "a whole key in a list";
  EXPECT_EQ(list.body["items"][0]["limits"]["requestsPerMinute"], 60);

  const Answer revoked = call("POST", "/api/v1/keys/revoke", Json{{"key", key}}.dump());
  EXPECT_EQ(revoked.status, 200);
  EXPECT_FALSE(revoked.body["items"][0]["revokedAt"].is_null());
  EXPECT_EQ(sources_.keys().registry().find(Sha256().of(key)), nullptr);
  EXPECT_EQ(code(call("POST", "/api/v1/keys/revoke", R"({"key":"ci-2"})")), "key_not_found");
}

TEST_F(AdminApi, DryRunChangesNothingAndHasTheSameShape) {
  const std::string body = R"({"name":"a","count":2})";
  const Answer dry = call("POST", "/api/v1/keys?dryRun=true", body);
  EXPECT_EQ(dry.body["dryRun"], true);
  EXPECT_EQ(sources_.keys().active(), 0U);
  const Answer real = call("POST", "/api/v1/keys", body);
  const auto members = [](const Json& j) {
    std::vector<std::string> names;
    for (const auto& [name, value] : j.items()) names.push_back(name);
    return names;
  };
  EXPECT_EQ(members(dry.body["items"][0]), members(real.body["items"][0]));
  EXPECT_EQ(dry.body["items"][1]["name"], real.body["items"][1]["name"]);
  EXPECT_EQ(call("POST", "/api/v1/keys/revoke?dryRun=true", R"({"key":"a-1"})").status, 200);
  EXPECT_EQ(sources_.keys().active(), 2U);
}

// A dry run answers with the code that the change itself would get.
TEST_F(AdminApi, DryRunAndChangeAgreeOnEveryRefusal) {
  ASSERT_EQ(call("POST", "/api/v1/keys", R"({"name":"taken"})").status, 201);
  const std::string long_name(129, 'x');
  for (const std::string& body :
       {Json{{"name", "taken"}}.dump(), Json{{"name", long_name}}.dump(), Json{{"name", "tg-x"}}.dump(),
        Json{{"name", "a\nb"}}.dump(), Json{{"count", 0}}.dump(), Json{{"count", 100'001}}.dump(),
        Json{{"tenant", "reserch"}}.dump(), Json{{"models", {"smal"}}}.dump(),
        Json{{"limits", {{"requestPerMinute", 1}}}}.dump(), Json{{"limits", {{"concurrent", -1}}}}.dump(),
        Json{{"nam", "x"}}.dump(), Json{{"models", "small"}}.dump(), std::string("["),
        std::string(R"({"count":1.5})")}) {
    const Answer dry = call("POST", "/api/v1/keys?dryRun=true", body);
    const Answer real = call("POST", "/api/v1/keys", body);
    EXPECT_GE(real.status, 400) << body;
    EXPECT_EQ(dry.status, real.status) << body;
    EXPECT_EQ(code(dry), code(real)) << body;
  }
  ASSERT_EQ(call("POST", "/api/v1/keys", R"({"name":"b","count":40})").status, 201);
  // Forty prefixes "tg-?" over 62 letters: at least two begin alike for some letter, or each is its own.
  for (const std::string& selector : {std::string("nobody"), std::string("tg-"), std::string(""),
                                      std::string("taken"), std::string("tg-zzzzz")}) {
    const std::string body = Json{{"key", selector}}.dump();
    const Answer dry = call("POST", "/api/v1/keys/revoke?dryRun=true", body);
    const Answer real = call("POST", "/api/v1/keys/revoke", body);
    EXPECT_EQ(dry.status, real.status) << body;
    EXPECT_EQ(code(dry), code(real)) << body;
  }
  EXPECT_EQ(sources_.keys().active(), 40U);
}

TEST_F(AdminApi, LogsAreTailedAndFollowed) {
  ASSERT_TRUE(replace_file(sources_.dir_ + "/small-0.log", "one\ntwo\nthree\n"));
  Answer a = call("GET", "/api/v1/models/small/logs?lines=2");
  ASSERT_EQ(a.body["items"].size(), 2U);
  EXPECT_EQ(a.body["items"][0]["text"], "two\nthree\n");
  EXPECT_EQ(a.body["items"][0]["next"], 14);
  EXPECT_EQ(a.body["items"][1]["text"], "");
  ASSERT_TRUE(replace_file(sources_.dir_ + "/small-0.log", "one\ntwo\nthree\nfour\n"));
  a = call("GET", "/api/v1/models/small/logs?replica=0&after=14");
  ASSERT_EQ(a.body["items"].size(), 1U);
  EXPECT_EQ(a.body["items"][0]["text"], "four\n");
  ASSERT_TRUE(replace_file(sources_.dir_ + "/small-0.log", "new\n"));  // rotated
  EXPECT_EQ(call("GET", "/api/v1/models/small/logs?replica=0&after=19").body["items"][0]["text"], "new\n");
  EXPECT_EQ(code(call("GET", "/api/v1/models/small/logs?lines=x")), "query_invalid");
  EXPECT_EQ(call("GET", "/api/v1/models/small/logs?lines=0").body["items"][0]["text"], "");
}

TEST_F(AdminApi, UsageIsCheckedBeforeItIsRead) {
  EXPECT_EQ(call("GET", "/api/v1/usage?by=key%2Cmodel").body["items"].size(), 0U);
  EXPECT_EQ(call("GET", "/api/v1/usage").body["total"]["requests"], 0);
  EXPECT_EQ(call("GET", "/api/v1/usage?requests=true").body["more"], false);
  const Response csv = handle(make_request("GET", "/api/v1/usage?format=csv&by=model", {}, true), sources_);
  EXPECT_EQ(csv.body.substr(0, 15), "model,requests,");
  for (const char* bad : {"by=kee", "since=yesterday", "limit=0", "limit=x&requests=true", "format=xml",
                          "by=key&requests=true", "form=csv"}) {
    const Answer a = call("GET", std::string("/api/v1/usage?") + bad);
    EXPECT_EQ(a.status, 400) << bad;
    EXPECT_EQ(code(a), "query_invalid") << bad;
  }
}

TEST(AdminRequest, TargetsAreSplitAndDecoded) {
  const Request r = make_request("GET", "/a%2Fb/c?x=1%202&y&z=a+b&=v&%zz=1", {}, false);
  EXPECT_EQ(r.path, "/a%2Fb/c");
  EXPECT_EQ(r.query.at("x"), "1 2");
  EXPECT_EQ(r.query.at("y"), "");
  EXPECT_EQ(r.query.at("z"), "a b");
  EXPECT_EQ(r.query.at("%zz"), "1");
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  EXPECT_EQ(percent_decode(percent_encode(all), true), all);
}

}  // namespace
}  // namespace tg::admin
