// Labels of rendered objects. Pure.
#pragma once

#include "render/context.hpp"
#include "render/part.hpp"

namespace tg::render {

// Puts the labels that every object carries behind its name, before anything else of the metadata.
void label_object(const Context& context, const Part& part, Json& object);

}  // namespace tg::render
