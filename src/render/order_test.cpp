#include "render/order.hpp"

#include <gtest/gtest.h>

#include <string>

namespace tg::render {
namespace {

Part part(std::string name, int order, std::vector<std::string> after = {}, Where where = Where::component) {
  Part out;
  out.name = std::move(name);
  out.order = order;
  out.after = std::move(after);
  out.where = where;
  return out;
}

std::string names(const std::vector<Part>& parts) {
  std::string out;
  for (const Part* p : in_order(parts)) out += (out.empty() ? "" : " ") + p->name;
  return out;
}

TEST(Order, KindThenNumber) {
  EXPECT_EQ(names({part("app", 0, {}, Where::workload), part("chat", 52), part("metrics", 40),
                   part("machines", 0, {}, Where::infrastructure), part("serving", 50)}),
            "machines metrics serving chat app");
}

TEST(Order, WhatAPartNeedsIsPulledBeforeIt) {
  // Of a later kind, and with needs of its own.
  EXPECT_EQ(names({part("app", 0, {"operators"}, Where::workload), part("chat", 52, {"app", "absent"}),
                   part("operators", 60), part("serving", 50)}),
            "serving operators app chat");
}

TEST(Order, ACircleIsAFaultOfTheRenderer) {
  EXPECT_DEATH(names({part("a", 1, {"b"}), part("b", 2, {"a"})}), "part a is to come after itself");
}

}  // namespace
}  // namespace tg::render
