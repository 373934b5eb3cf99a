#include "text/toml.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace tg::text {
namespace {

using Json = nlohmann::ordered_json;

TEST(Toml, ValuesStandBeforeTables) {
  EXPECT_EQ(emit_toml({{"t", {{"b", true}}}, {"version", 3}, {"list", Json::array({"a", "b"})}}),
            "version = 3\nlist = [\"a\", \"b\"]\n\n[t]\nb = true\n");
}

TEST(Toml, KeysWithDotsAreQuoted) {
  EXPECT_EQ(emit_toml({{"plugins", {{"io.containerd.cri.v1.runtime", {{"x", 1}}}}}}),
            "\n[plugins.\"io.containerd.cri.v1.runtime\"]\nx = 1\n");
}

TEST(Toml, TextIsEscaped) { EXPECT_EQ(emit_toml({{"a", "x\"\n\\"}}), "a = \"x\\\"\\n\\\\\"\n"); }

TEST(Toml, ListsOfMapsAreArraysOfTables) {
  EXPECT_EQ(emit_toml({{"a", Json::array({{{"n", 1}}, {{"n", 2}}})}}), "\n[[a]]\nn = 1\n\n[[a]]\nn = 2\n");
}

TEST(Toml, AnEmptyTableAndANull) { EXPECT_EQ(emit_toml({{"a", Json::object()}, {"b", nullptr}}), "\n[a]\n"); }

}  // namespace
}  // namespace tg::text
