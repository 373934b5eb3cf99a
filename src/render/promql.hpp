// What an expression names, so that a test can look it up. This is no parser: whether an expression is well
// formed is for promtool to say. Pure functions, any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tg::render {

// The metrics of a PromQL expression in the order of their first appearance, each once. Functions, operators,
// label names, strings and Grafana's variables are none.
std::vector<std::string> metrics_in(std::string_view promql);

// The labels by which a LogQL expression selects streams, each once.
std::vector<std::string> stream_labels_in(std::string_view logql);

}  // namespace tg::render
