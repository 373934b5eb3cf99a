// The components, one function per file of this folder: namespaces() is in namespaces.cpp.
#pragma once

#include <vector>

#include "render/parts.hpp"

namespace tg::render {


// The pods of Prometheus, for edges to what they scrape.
Peer prometheus_peer();

// Collectors.
std::vector<Part> namespaces(const Context&, const std::vector<Part>&);
std::vector<Part> network_policies(const Context&, const std::vector<Part>&);

}  // namespace tg::render
