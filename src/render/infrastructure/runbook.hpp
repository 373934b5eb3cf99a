// What the runbook says about own machines, and the operators' way in.
#pragma once

#include <vector>

#include "render/infrastructure/hosts.hpp"

namespace tg::render {

std::vector<Section> k3s_sections(const Context& context, const std::vector<Host>& all);
std::vector<Section> machines_sections(const Context& context, const std::vector<Host>& all);

// Group of operators, to which kubeconfig.sh issues short-lived certificates. Nobody else is an
// administrator.
void add_operators(Part& part);
// kubeconfig.sh: a certificate of the group for one person, as a kubeconfig on standard output.
Extra script_kubeconfig();

}  // namespace tg::render
