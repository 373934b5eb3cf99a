// How pods act as an identity of the cloud.
#pragma once

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render {

// Lets pods get tokens of their identity, where an address of the node hands them out. Azure asks a public
// address instead.
void add_identity_edge(Part& part, const Context& context, Peer from);

}  // namespace tg::render
