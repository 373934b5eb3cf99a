// Documents to files: the whole tree of a platform. Pure: the same documents give the same bytes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "render/tree.hpp"
#include "spec/decode.hpp"

namespace tg::render {

struct Rendered {
  Tree tree;                            // usable only if no finding is an error
  std::vector<spec::Finding> findings;  // what cannot be rendered, and fields that nothing rendered
};

// `platform`: name of the Platform, empty if there is only one. `environment`: the tree of one of its
// delivery.environments; empty: of the document as it stands, and what its environments change is judged too.
// Errors: no_platform, many_platforms, unknown_reference.
Result<Rendered> render(const spec::Documents& documents, std::string_view platform = {},
                        std::string_view environment = {});

}  // namespace tg::render
