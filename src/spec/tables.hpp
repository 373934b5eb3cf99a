// The parts of the field table and a short way of writing its rows. For the table's own files.
#pragma once

#include <span>

#include "base/clock.hpp"
#include "spec/fields.hpp"

namespace tg::spec {

namespace rows {

inline constexpr double kSeconds = static_cast<double>(kSecond);
inline constexpr double kHours = static_cast<double>(kHour);
inline constexpr double kDays = 24 * kHours;
inline constexpr double kKi = 1024;
inline constexpr double kMi = kKi * kKi;
inline constexpr double kGi = kKi * kMi;
inline constexpr double kTi = kKi * kGi;
inline constexpr double kPi = kKi * kTi;

// One row under construction: `row("spec.x.y", Type::text, "What it is.").of("none").why("…")`.
struct Row {
  Field f;
  std::string_view decides{};  // rows of the requirements: "S1-51 F-44"

  // Stands first: clang evaluates the rows below only once its body is known.
  template <class F>
  constexpr Row with(F change) const {
    Row out = *this;
    change(out.f);
    return out;
  }

  // The default as a user would write it.
  constexpr Row of(std::string_view value) const {
    return with([&](Field& g) { g.fallback = value; });
  }
  // The default in words, where no single value holds.
  constexpr Row else_(std::string_view words) const {
    return with([&](Field& g) {
      g.fallback = words;
      g.described = true;
    });
  }
  constexpr Row why(std::string_view reason) const {
    return with([&](Field& g) { g.reason = reason; });
  }
  constexpr Row in(std::string_view unit) const {
    return with([&](Field& g) { g.unit = unit; });
  }
  constexpr Row from(double low, double high) const {
    return with([&](Field& g) {
      g.min = low;
      g.max = high;
    });
  }
  constexpr Row must() const {
    return with([](Field& g) { g.required = true; });
  }
  constexpr Row words(std::string_view all) const {
    return with([&](Field& g) { g.words = all; });
  }
  constexpr Row later(std::string_view all) const {
    return with([&](Field& g) { g.later = all; });
  }
  constexpr Row as(std::string_view shorthand) const {
    return with([&](Field& g) { g.shorthand = shorthand; });
  }
  constexpr Row like(std::string_view path) const {
    return with([&](Field& g) { g.like = path; });
  }
  constexpr Row item(Type type) const {
    return with([&](Field& g) { g.item = type; });
  }
  constexpr Row keys(Type type) const {
    return with([&](Field& g) { g.keys = type; });
  }
  // Serving refuses it in place of not looking into it: it would act there too, but does not yet.
  constexpr Row unserved() const {
    return with([](Field& g) { g.planned = true; });
  }
  constexpr Row partial() const {
    return with([](Field& g) { g.partial = true; });
  }
  constexpr Row meets(std::string_view requirements) const {
    Row out = *this;
    out.decides = requirements;
    return out;
  }

  constexpr operator Field() const { return f; }  // NOLINT(google-explicit-constructor): rows become fields
};

// Only rendering acts on rows that are written so.
constexpr Row row(std::string_view path, Type type, std::string_view meaning) {
  Row out;
  out.f.path = path;
  out.f.type = type;
  out.f.meaning = meaning;
  out.f.platform = true;
  return out;
}

}  // namespace rows

// The rows below Platform.spec, by area, and those of a TrainingRun.
std::span<const rows::Row> platform_general_rows();
std::span<const rows::Row> platform_infrastructure_rows();
std::span<const rows::Row> platform_cluster_rows();
std::span<const rows::Row> platform_workload_rows();
std::span<const rows::Row> platform_component_rows();
std::span<const rows::Row> platform_observability_rows();
std::span<const rows::Row> platform_upkeep_rows();
std::span<const rows::Row> training_run_rows();

}  // namespace tg::spec
