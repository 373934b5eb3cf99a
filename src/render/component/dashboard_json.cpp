#include <fmt/format.h>

#include "render/component/dashboard_pages.hpp"

namespace tg::render::observability {

namespace {

constexpr int kWidth = 24;

Json source_json(std::string_view source) { return {{"type", source}, {"uid", source}}; }

int height(const Panel& p) {
  if (p.kind == "stat") return 4;
  return p.kind == "logs" ? 12 : 8;
}

Json target_json(const Panel& p, const Query& q, std::size_t number) {
  Json out{{"refId", std::string(1, static_cast<char>('A' + number))},
           {"datasource", source_json(p.source)},
           {"expr", q.expr}};
  if (!q.legend.empty()) out["legendFormat"] = q.legend;
  if (p.source == "loki") {
    out["queryType"] = "range";
  } else if (p.kind == "table" || p.kind == "bargauge") {
    out["instant"] = true;
    out["range"] = false;
    if (p.kind == "table") out["format"] = "table";
  } else {
    out["range"] = true;
  }
  return out;
}

Json options_json(const Panel& p) {
  if (p.kind == "timeseries")
    return {{"legend", {{"displayMode", "list"}, {"placement", "bottom"}, {"showLegend", true}}},
            {"tooltip", {{"mode", "multi"}, {"sort", "desc"}}}};
  if (p.kind == "stat" || p.kind == "bargauge")
    return {{"reduceOptions", {{"calcs", Json::array({"lastNotNull"})}, {"fields", ""}, {"values", false}}},
            {"orientation", "auto"}};
  if (p.kind == "logs")
    return {{"showTime", true},
            {"wrapLogMessage", true},
            {"sortOrder", "Descending"},
            {"enableLogDetails", true}};
  return {{"showHeader", true}};
}

Json panel_json(const Panel& p, int id, int x, int y) {
  Json defaults = Json::object();
  if (!p.unit.empty()) defaults["unit"] = p.unit;
  if (p.kind == "timeseries") {
    defaults["custom"] = {{"fillOpacity", 10}, {"lineWidth", 1}, {"showPoints", "never"}};
    if (p.unit == "percentunit") defaults["min"] = 0;
  }
  Json targets = Json::array();
  for (std::size_t i = 0; i < p.queries.size(); ++i) targets.push_back(target_json(p, p.queries[i], i));
  return {{"id", id},
          {"title", p.title},
          {"type", p.kind},
          {"datasource", source_json(p.source)},
          {"gridPos", {{"h", height(p)}, {"w", p.width}, {"x", x}, {"y", y}}},
          {"fieldConfig", {{"defaults", std::move(defaults)}, {"overrides", Json::array()}}},
          {"options", options_json(p)},
          {"targets", std::move(targets)}};
}

}  // namespace

Json dashboard_json(const Dashboard& d) {
  Json panels = Json::array();
  int id = 0, x = 0, y = 0, row = 0;
  for (const Panel& p : d.panels) {
    if (x + p.width > kWidth) {
      x = 0;
      y += row;
      row = 0;
    }
    panels.push_back(panel_json(p, ++id, x, y));
    x += p.width;
    row = std::max(row, height(p));
  }
  return {{"uid", d.uid},
          {"title", d.title},
          {"tags", Json::array({"tidegate"})},
          {"timezone", "browser"},
          {"editable", true},
          {"graphTooltip", 1},
          {"schemaVersion", 41},
          {"version", 1},
          {"refresh", "1m"},
          {"time", {{"from", "now-6h"}, {"to", "now"}}},
          {"templating", {{"list", Json::array()}}},
          {"annotations",
           {{"list", Json::array({{{"name", "Alerts"},
                                   {"datasource", source_json("prometheus")},
                                   {"enable", true},
                                   {"iconColor", "red"},
                                   {"expr", "ALERTS{alertstate=\"firing\", severity=\"critical\"}"},
                                   {"titleFormat", "{{alertname}}"}}})}}},
          {"panels", std::move(panels)}};
}

}  // namespace tg::render::observability
