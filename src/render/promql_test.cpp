#include "render/promql.hpp"

#include <gtest/gtest.h>

namespace tg::render {
namespace {

using Names = std::vector<std::string>;

TEST(Promql, NamesOfMetrics) {
  EXPECT_EQ(metrics_in("up == 0"), (Names{"up"}));
  EXPECT_EQ(metrics_in("sum by (le, pod) (rate(a_bucket{x=\"b_c\"}[5m])) > 0.5"), (Names{"a_bucket"}));
  EXPECT_EQ(metrics_in("sum(rate(a[5m])) by (pod) / on (pod) group_left (node) b offset 1d and c"),
            (Names{"a", "b", "c"}));
  EXPECT_EQ(metrics_in("a{x='}'} unless ignoring (y) a{z=~`{`}"), (Names{"a"}));
  EXPECT_EQ(metrics_in("rate(vllm:tokens_total[$__rate_interval]) * 1e3 > bool $limit"),
            (Names{"vllm:tokens_total"}));
  EXPECT_EQ(metrics_in("time() - a > 7 * 24 * 3600"), (Names{"a"}));
}

TEST(Promql, LabelsOfStreams) {
  EXPECT_EQ(stream_labels_in("{namespace=\"chat\", app=~\"a|b\"} |= \"{pod=\" | json | level=\"error\""),
            (Names{"namespace", "app"}));
  EXPECT_EQ(stream_labels_in("sum by (level) (count_over_time({job=\"x\"}[5m]))"), (Names{"job"}));
}

}  // namespace
}  // namespace tg::render
