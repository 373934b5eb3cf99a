// The rules, one file per topic. Each appends what it finds about one Platform and the documents beside it.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "spec/decode.hpp"
#include "spec/reader.hpp"

namespace tg::verify {

// What the rules look at: one Platform, read by paths without "spec.", and all documents.
struct Subject {
  const spec::Documents& documents;
  const spec::Document& platform;
  spec::Reader spec;
  std::string site;  // "aws", "machines" …

  spec::Reader infrastructure() const { return spec.sub("infrastructure." + site); }
  // Name and spec of each document of a kind.
  std::vector<std::pair<std::string, spec::Reader>> all(spec::DocumentKind kind) const;
};

// Collects findings; every rule gets one.
class Report {
 public:
  explicit Report(std::vector<spec::Finding>& out) : out_(out) {}
  // `path` is relative to the reader; the finding names it as it stands in the document.
  void error(const spec::Reader& reader, std::string_view path, std::string_view code, std::string message,
             std::string hint = {});
  void warning(const spec::Reader& reader, std::string_view path, std::string_view code, std::string message,
               std::string hint = {});

 private:
  std::vector<spec::Finding>& out_;
};

void check_addresses(const Subject&, Report&);  // CIDRs that overlap, hosts outside their network
void check_names(const Subject&, Report&);      // references to classes, pools, data, receivers, tenants
void check_versions(const Subject&, Report&);   // support windows, what goes with what
void check_capacity(const Subject&, Report&);   // pods that fit no node, quotas below requests
void check_storage(const Subject&, Report&);    // provider caps, access modes, sizes
void check_scaling(const Subject&, Report&);    // bounds, autoscalers that fight
void check_exposure(const Subject&, Report&);   // published names without certificate or login
void check_machines(const Subject&, Report&);   // roles, quorum, load balancers
void check_clouds(const Subject&, Report&);     // regions, zones, instance types
void check_models(const Subject&, Report&);     // routes, providers, engines of a cluster

}  // namespace tg::verify
