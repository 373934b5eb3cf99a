// What holds between documents: references, public names, implied Routes, the default Tenant. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "spec/documents.hpp"
#include "spec/finding.hpp"

namespace tg::spec {

// Adds the implied Routes and the Tenant `default` to `documents` and appends findings for what does not fit
// together. `tenant_routes` holds the place of each entry of a Tenant's `routes`.
using TenantRoutes = std::map<std::string, std::vector<std::pair<std::string, text::Position>>>;
void connect(Documents& documents, const TenantRoutes& tenant_routes, std::vector<Finding>& out);

}  // namespace tg::spec
