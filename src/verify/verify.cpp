#include "verify/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "catalog/releases.hpp"
#include "verify/rules.hpp"

namespace tg::verify {

Named Subject::all(spec::DocumentKind kind) const {
  Named out;
  for (const spec::Document& d : documents.all) {
    if (d.kind == kind) out.emplace_back(d.name, spec::Reader(documents, d).sub("spec"));
  }
  return out;
}

bool Subject::cloud() const {
  return site == "aws" || site == "google" || site == "azure" || site == "openTelekomCloud";
}

bool Subject::hosts() const { return site == "machines" || site == "k3s"; }

std::string Subject::use(std::string_view component) const {
  std::string word = spec.text(fmt::format("components.{}.use", component));
  if (!word.empty()) return word;
  const auto pools = spec.named("pools");
  if (component == "dashboards") return use("metrics") == "none" ? "none" : "grafana";
  if (component == "alerts") return use("metrics") == "none" ? "none" : "alertmanager";
  if (component == "training") return all(spec::DocumentKind::training_run).empty() ? "none" : "jobset";
  if (component == "gpu") {
    return std::any_of(pools.begin(), pools.end(),
                       [](const auto& p) { return p.second.text("gpu.vendor") == "nvidia"; })
               ? "operator"
               : "none";
  }
  return "none";
}

namespace {

spec::Finding finding(const spec::Reader& reader, std::string_view path, spec::Severity severity,
                      std::string_view code, const std::string& message, std::string hint) {
  std::string where = reader.where(path);
  std::string whole = fmt::format("{}: {}", where, message);
  return {std::string(code), severity, reader.at(path), std::move(where), std::move(whole), std::move(hint)};
}

void check_platform(const Subject& subject, std::vector<spec::Finding>& out) {
  Report report(out);
  for (const auto rule :
       {check_addresses, check_names, check_places, check_versions, check_capacity, check_budget,
        check_quotas, check_storage, check_scaling, check_exposure, check_machines, check_clouds,
        check_models, check_training, check_observability, check_delivery, check_clocks}) {
    rule(subject, report);
  }
}

void check_all(const spec::Documents& documents, std::string_view today, std::vector<spec::Finding>& out) {
  for (const spec::Document& d : documents.all) {
    if (d.kind != spec::DocumentKind::platform) continue;
    const spec::Reader spec = spec::Reader(documents, d).sub("spec");
    const std::string site(spec.chosen("infrastructure"));
    if (site.empty()) continue;  // found missing already
    check_platform({documents, d, spec, site, std::string(today)}, out);
  }
}

using Key = std::tuple<std::string, std::string, int, int, std::string>;
Key key(const spec::Finding& f) { return {f.code, f.at.file, f.at.line, f.at.column, f.path}; }

}  // namespace

void Report::error(const spec::Reader& reader, std::string_view path, std::string_view code,
                   const std::string& message, std::string hint) {
  out_.push_back(finding(reader, path, spec::Severity::error, code, message, std::move(hint)));
}

void Report::warning(const spec::Reader& reader, std::string_view path, std::string_view code,
                     const std::string& message, std::string hint) {
  out_.push_back(finding(reader, path, spec::Severity::warning, code, message, std::move(hint)));
}

void Report::error_at(const text::Position& at, std::string where, std::string_view code,
                      const std::string& message, std::string hint) {
  std::string whole = fmt::format("{}: {}", where, message);
  out_.push_back(
      {std::string(code), spec::Severity::error, at, std::move(where), std::move(whole), std::move(hint)});
}

void Report::error_in(const spec::Reader& reader, std::string_view path, std::size_t index,
                      const text::Position& at, std::string_view code, const std::string& message,
                      std::string hint) {
  error_at(at, fmt::format("{}[{}]", reader.where(path), index), code, message, std::move(hint));
}

std::vector<spec::Finding> check(const spec::Documents& documents, std::string_view today) {
  const std::string day(std::max(today, catalog::catalog_date()));
  std::vector<spec::Finding> out;
  check_all(documents, day, out);
  std::set<Key> known;
  for (const spec::Finding& f : out) known.insert(key(f));
  for (const spec::Document& d : documents.all) {
    if (d.kind != spec::DocumentKind::platform) continue;
    for (const auto& [name, overlay] :
         spec::Reader(documents, d).sub("spec").named("delivery.environments")) {
      std::vector<spec::Finding> changed;
      const auto merged = spec::in_environment(documents, d.name, name, changed);
      if (!merged) continue;
      const bool sound = std::none_of(changed.begin(), changed.end(), [](const spec::Finding& f) {
        return f.severity == spec::Severity::error;
      });
      if (sound) check_all(*merged, day, changed);
      for (spec::Finding& f : changed) {
        if (!known.insert(key(f)).second) continue;
        f.message = fmt::format("in the environment {}: {}", name, f.message);
        out.push_back(std::move(f));
      }
    }
  }
  return out;
}

}  // namespace tg::verify
