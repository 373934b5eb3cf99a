// The rules, one file per topic. Each appends what it finds about one Platform and the documents beside it.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "spec/decode.hpp"
#include "spec/reader.hpp"

namespace tg::verify {

using Named = std::vector<std::pair<std::string, spec::Reader>>;

// What the rules look at: one Platform, read by paths without "spec.", and all documents.
struct Subject {
  const spec::Documents& documents;
  const spec::Document& platform;
  spec::Reader spec;
  std::string site;   // "aws", "machines" …
  std::string today;  // "2026-11-21": what has ended by then is told; never before the catalog's date

  spec::Reader infrastructure() const { return spec.sub("infrastructure." + site); }
  // Name and spec of each document of a kind.
  Named all(spec::DocumentKind kind) const;
  bool cloud() const;  // one of the four clouds
  bool hosts() const;  // hosts of one's own: machines or k3s
  bool small() const { return spec.text("components.profile") == "small"; }
  // What a component uses, with the defaults that depend on other fields: "prometheus", "none".
  std::string use(std::string_view component) const;
};

// Collects findings; every rule gets one.
class Report {
 public:
  explicit Report(std::vector<spec::Finding>& out) : out_(out) {}
  // `path` is relative to the reader; the finding and its message name it as it stands in the document.
  void error(const spec::Reader& reader, std::string_view path, std::string_view code,
             const std::string& message, std::string hint);
  void warning(const spec::Reader& reader, std::string_view path, std::string_view code,
               const std::string& message, std::string hint);
  // At a place that no reader gives.
  void error_at(const text::Position& at, std::string where, std::string_view code,
                const std::string& message, std::string hint);
  // The entry `index` of the list at `path`.
  void error_in(const spec::Reader& reader, std::string_view path, std::size_t index,
                const text::Position& at, std::string_view code, const std::string& message,
                std::string hint);

 private:
  std::vector<spec::Finding>& out_;
};

void check_addresses(const Subject&, Report&);      // CIDRs that overlap, hosts outside their network
void check_names(const Subject&, Report&);          // references to classes, pools, data, receivers, tenants
void check_places(const Subject&, Report&);         // what the infrastructure does not have
void check_versions(const Subject&, Report&);       // support windows, what goes with what
void check_capacity(const Subject&, Report&);       // pods that fit no node, sums above what there is
void check_budget(const Subject&, Report&);         // all parts of profile small on their machine
void check_quotas(const Subject&, Report&);         // quotas below what runs, above what there is
void check_storage(const Subject&, Report&);        // provider caps, access modes, sizes
void check_scaling(const Subject&, Report&);        // bounds, autoscalers that fight
void check_exposure(const Subject&, Report&);       // published names without certificate or login
void check_machines(const Subject&, Report&);       // roles, quorum, load balancers
void check_clouds(const Subject&, Report&);         // regions, zones, instance types
void check_models(const Subject&, Report&);         // engines and sources of a cluster
void check_training(const Subject&, Report&);       // TrainingRuns
void check_observability(const Subject&, Report&);  // alerts, logs, backup
void check_delivery(const Subject&, Report&);       // pipelines, environments, strategies
void check_clocks(const Subject&, Report&);         // time zones

}  // namespace tg::verify
