#include "spec/reference.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/files.hpp"

namespace tg::spec {
namespace {

TEST(Reference, PageOnDiskIsTheTable) {
  const std::string path = std::string(TIDEGATE_SOURCE_DIR) + "/docs/reference/documents.md";
  if (std::getenv("TIDEGATE_WRITE_REFERENCE") != nullptr) {
    ASSERT_TRUE(make_directories(std::string(TIDEGATE_SOURCE_DIR) + "/docs/reference"));
    ASSERT_TRUE(replace_file(path, reference_markdown(), 0644));
  }
  const auto page = read_file(path);
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_EQ(*page, reference_markdown())
      << "run this test with TIDEGATE_WRITE_REFERENCE=1 to write the page anew";
}

TEST(Reference, ExplainsOneField) {
  const auto text = explain_field("model.spec.replicas.max");
  ASSERT_TRUE(text);
  EXPECT_EQ(*text,
            "Model.spec.replicas.max\n"
            "  Never more than this many.\n"
            "  type     a whole number\n"
            "  unit     replicas\n"
            "  range    from 1 to 1000\n"
            "  default  1\n"
            "  rows     S3-88\n");
}

TEST(Reference, NamesTheRowsOfTheFieldOrOfWhatIsAroundIt) {
  EXPECT_NE(
      explain_field("platform.spec.cluster.networks.pods")
          ->find("  rows     S3-41 S4-26 F-06\n"
                 "           F-06: the pod network held the hosts' own network: overlaps are refused\n"),
      std::string::npos);
  EXPECT_NE(explain_field("platform.spec.cluster.etcd.snapshots.keep")->find("  rows     S1-215 F-59\n"),
            std::string::npos);
  EXPECT_NE(explain_field("platform.spec.access.peering.vpcId")->find("  rows     S0-81\n"),
            std::string::npos);
  EXPECT_EQ(explain_field("platform.spec.apps.web.port")->find("  rows "), std::string::npos);
}

TEST(Reference, ExplainsMapsListsAndKinds) {
  EXPECT_NE(explain_field("route.spec.to[0].weight")->find("Share of the requests"), std::string::npos);
  EXPECT_EQ(*explain_field("Route.spec.to.weight"), *explain_field("route.spec.to[].weight"));
  EXPECT_NE(explain_field("spec.retry")->find("  attempts "), std::string::npos);
  EXPECT_NE(explain_field("model.spec.engine.simulated.fail")->find("  request "), std::string::npos);
  EXPECT_NE(explain_field("tenant")->find("  limits "), std::string::npos);
  EXPECT_NE(explain_field("tenant.spec.budget")->find("not supported yet"), std::string::npos);
  // A path that several kinds have is explained for each.
  EXPECT_NE(explain_field("metadata.name")->find("Provider.metadata.name"), std::string::npos);
}

TEST(Reference, ProposesNearPaths) {
  const auto text = explain_field("model.spec.replicas.maxx");
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().hint.substr(0, 45), "did you mean 'model.spec.replicas.max' or 'mo");
  EXPECT_FALSE(explain_field(""));
}

TEST(Reference, ExplainsEachRow) {
  for (const DocumentKind kind : decoded_kinds()) {
    for (const Field& f : fields(kind)) {
      EXPECT_TRUE(explain_field(std::string(kind_name(kind)) + "." + std::string(f.path))) << f.path;
    }
  }
}

using Json = nlohmann::json;

// The form with a map, where several forms are possible.
const Json& map_form(const Json& schema) {
  for (const char* forms : {"oneOf", "anyOf"}) {
    if (!schema.contains(forms)) continue;
    for (const Json& form : schema[forms]) {
      const Json& found = map_form(form);
      if (found.contains("properties") || found.contains("items") || found.contains("additionalProperties"))
        return found;
    }
  }
  return schema;
}

TEST(Schema, IsJsonWithEachField) {
  for (const DocumentKind kind : decoded_kinds()) {
    const auto schema = Json::parse(schema_json(kind), nullptr, false);
    ASSERT_TRUE(schema.is_object());
    EXPECT_EQ(schema["properties"]["kind"]["const"], std::string(kind_name(kind)));
    for (const Field& f : fields(kind)) {
      const Json* at = &schema;
      std::string_view rest = f.path;
      bool found = true;
      while (!rest.empty() && found) {
        const std::size_t dot = rest.find('.');
        std::string key(rest.substr(0, dot));
        const bool entry = key.ends_with("[]");
        if (entry) key.resize(key.size() - 2);
        at = &map_form(*at);
        if (key == "*") {
          found = at->contains("additionalProperties") && (*at)["additionalProperties"].is_object();
          if (found) at = &(*at)["additionalProperties"];
        } else {
          found = at->contains("properties") && (*at)["properties"].contains(key);
          if (found) at = &(*at)["properties"][key];
        }
        if (found && entry) at = &map_form(*at)["items"];
        rest = dot == std::string_view::npos ? std::string_view{} : rest.substr(dot + 1);
      }
      EXPECT_EQ(found, !f.planned || f.platform) << kind_name(kind) << "." << f.path;
    }
  }
}

}  // namespace
}  // namespace tg::spec
