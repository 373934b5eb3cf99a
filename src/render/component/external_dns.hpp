// Names of what is published, on a cluster that is there. Clouds make theirs by Terraform.
#pragma once

#include <vector>

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render {

std::vector<Part> external_dns(const Context& context);

}  // namespace tg::render
