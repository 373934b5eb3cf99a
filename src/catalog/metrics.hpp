// The metrics that alerts and panels may name, by the program that exports them, and the labels of the log
// streams. An expression over a name that nobody exports is valid and silent for ever, so every name is
// looked up here by a test. Constant data, any thread.
#pragma once

#include <span>
#include <string_view>

namespace tg::catalog {

struct Metric {
  std::string_view name;
  std::string_view exporter;  // "kube-state-metrics"
};

// Sorted by exporter.
std::span<const Metric> metrics();
// nullptr if no program of the catalog exports it.
const Metric* metric(std::string_view name);

// The labels that the log collector puts on streams.
std::span<const std::string_view> log_labels();

}  // namespace tg::catalog
