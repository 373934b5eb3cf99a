// Whether cert-manager is there, for parts that ask it for certificates of programs inside the cluster.
#pragma once

#include "render/context.hpp"

namespace tg::render {

// Something needs certificates: what is published, or a store of secrets inside the cluster.
bool cert_manager(const Context&);
// OpenBao is installed here.
bool own_vault(const Context&);

}  // namespace tg::render
