// A checked document as a typed value, and the rules between the fields of one document. Pure.
#pragma once

#include <vector>

#include "spec/documents.hpp"
#include "spec/finding.hpp"
#include "spec/reader.hpp"

namespace tg::spec {

Model bind_model(const Reader& doc, Purpose purpose, std::vector<Finding>& out);
Provider bind_provider(const Reader& doc, std::vector<Finding>& out);
Route bind_route(const Reader& doc, std::vector<Finding>& out);
Tenant bind_tenant(const Reader& doc, std::vector<Finding>& out);

// The Route of the defaults to one target.
Route implied_route(std::string name, Target target);
// The Tenant `default` when no document has it.
Tenant default_tenant();

}  // namespace tg::spec
