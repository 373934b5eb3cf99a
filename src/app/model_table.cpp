#include "app/model_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "app/table.hpp"
#include "app/view.hpp"
#include "base/units.hpp"

namespace tg::app {

namespace {

using Json = nlohmann::ordered_json;

std::size_t rank(const std::string& state) {
  static constexpr std::array<std::string_view, 7> kOrder = {"failed",   "blocked", "loading", "fetching",
                                                             "draining", "ready",   "zero"};
  return static_cast<std::size_t>(std::find(kOrder.begin(), kOrder.end(), state) - kOrder.begin());
}

std::string why(const Json& m) {
  std::string text = text_at(m, "/reason/text");
  const std::int64_t done = number_at(m, "/notReady/progress/done"),
                     total = number_at(m, "/notReady/progress/total");
  if (done > 0 && text.find(" of ") == std::string::npos) {
    text += fmt::format(", {} of {}", format_bytes(static_cast<std::uint64_t>(done)),
                        format_bytes(static_cast<std::uint64_t>(total)));
  }
  return text;
}

}  // namespace

std::string model_table(const Terminal& terminal, const Json& items, bool wide) {
  // By rank, then as they came. (clang finds std::stable_sort of libstdc++ 12 deprecated.)
  std::vector<std::pair<std::size_t, std::size_t>> order;
  order.reserve(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) order.emplace_back(rank(items[i].value("state", "")), i);
  std::sort(order.begin(), order.end());
  std::vector<Table::Column> columns = {{"MODEL"}, {"STATE"}, {"REPLICAS"}, {"BUSY", true}, {"HELD", true}};
  if (wide)
    columns.insert(columns.end(), {{"ENGINE"}, {"MIN-MAX"}, {"SLOTS", true}, {"MEMORY", true}, {"SOURCE"}});
  columns.push_back({"WHY"});
  Table table(std::move(columns));
  for (const auto& [state_rank, index] : order) {
    const Json* m = &items[index];
    const std::string state = text_at(*m, "/state");
    std::vector<Cell> row = {
        {text_at(*m, "/name")},
        {state, state_style(state)},
        {fmt::format("{}/{}", number_at(*m, "/replicas/ready"), number_at(*m, "/replicas/desired"))},
        {fmt::to_string(number_at(*m, "/inFlight"))},
        {fmt::to_string(number_at(*m, "/queue/held"))}};
    if (wide) {
      const std::int64_t need = number_at(*m, "/memoryNeed");
      row.push_back({text_at(*m, "/engine")});
      row.push_back({fmt::format("{}-{}", number_at(*m, "/replicas/min"), number_at(*m, "/replicas/max"))});
      row.push_back({fmt::to_string(number_at(*m, "/slots"))});
      row.push_back({need > 0 ? "~" + format_bytes(static_cast<std::uint64_t>(need)) : ""});
      row.push_back({text_at(*m, "/source")});
    }
    row.push_back({why(*m)});
    table.row(std::move(row));
  }
  return table.text(terminal);
}

std::vector<Json> sick_models(const Json& items) {
  std::vector<Json> sick;
  for (const Json& m : items) {
    const std::string state = m.value("state", "");
    if (state == "failed" || state == "blocked") sick.push_back(m);
  }
  return sick;
}

}  // namespace tg::app
