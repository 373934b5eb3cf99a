// Every expression of alerts and pages names metrics that a program exports: a name that nobody exports is
// well formed and silent for ever.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "catalog/metrics.hpp"
#include "render/component/alert_rules.hpp"
#include "render/component/dashboard_pages.hpp"
#include "render/parts.hpp"
#include "render/promql.hpp"
#include "spec/load.hpp"

namespace tg::render {
namespace {

std::vector<Part> parts_of(const Context& context) {
  std::vector<Part> parts;
  const auto take = [&](std::vector<Part>&& more) {
    for (Part& p : more) parts.push_back(std::move(p));
  };
  for (const Entry& e : entries()) {
    if (e.build != nullptr) take(e.build(context));
  }
  for (const Entry& e : entries()) {
    if (e.collect != nullptr) take(e.collect(context, parts));
  }
  return parts;
}

void expect_metrics(const std::string& where, const std::string& promql) {
  for (const std::string& name : metrics_in(promql))
    EXPECT_NE(catalog::metric(name), nullptr) << where << ": nobody exports " << name << " of\n" << promql;
}

void expect_labels(const std::string& where, const std::string& logql) {
  const auto known = catalog::log_labels();
  for (const std::string& label : stream_labels_in(logql))
    EXPECT_NE(std::find(known.begin(), known.end(), label), known.end())
        << where << ": no stream has the label " << label << " of\n"
        << logql;
}

void expect_alerts(const std::vector<Alert>& alerts) {
  for (const Alert& a : alerts) {
    expect_metrics(a.name, a.expr);
    for (const Series& s : a.input) expect_metrics(a.name, s.series);
    EXPECT_FALSE(a.input.empty()) << a.name << " has no proof";
    EXPECT_FALSE(a.action.empty()) << a.name << " does not say what to do";
  }
}

void expect_pages(const std::vector<Dashboard>& pages) {
  for (const Dashboard& d : pages) {
    for (const Panel& p : d.panels) {
      for (const Query& q : p.queries) {
        const std::string where = d.title + ", " + p.title;
        if (p.source == "loki") {
          expect_labels(where, q.expr);
        } else {
          expect_metrics(where, q.expr);
        }
      }
    }
  }
}

class Examples : public testing::TestWithParam<std::string> {};

TEST_P(Examples, MetricsExist) {
  const std::string path = std::string(TIDEGATE_SOURCE_DIR) + "/examples/" + GetParam() + ".yaml";
  auto read = spec::load({path}, {}, spec::Purpose::platform);
  ASSERT_TRUE(read.ok()) << read.text();
  for (const spec::Document& d : read.documents.all) {
    if (d.kind != spec::DocumentKind::platform) continue;
    spec::Usage usage;
    std::vector<spec::Finding> findings;
    const Context context(read.documents, d, usage, findings);
    const std::vector<Part> parts = parts_of(context);
    for (const Part& p : parts) {
      expect_alerts(p.alerts);
      expect_pages(p.dashboards);
    }
    for (const auto& group : observability::built_in_alerts(context)) expect_alerts(group.alerts);
    expect_alerts(observability::document_alerts(context, parts).alerts);
    expect_pages(observability::built_in_dashboards(context));
  }
}

INSTANTIATE_TEST_SUITE_P(All, Examples,
                         testing::Values("analytics-hub", "bare-metal", "otc-training", "saas-aws",
                                         "webui-k3s"));

TEST(Catalog, MetricsStandOnce) {
  std::vector<std::string_view> names;
  for (const catalog::Metric& m : catalog::metrics()) names.push_back(m.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  EXPECT_EQ(twice, names.end());
}

}  // namespace
}  // namespace tg::render
