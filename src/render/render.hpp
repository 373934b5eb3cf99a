// Documents to files: the whole tree of a platform. Pure: the same documents give the same bytes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "render/outputs.hpp"
#include "render/tree.hpp"
#include "spec/decode.hpp"
#include "spec/reads.hpp"

namespace tg::render {

struct Rendered {
  Tree tree;                            // usable only if no finding is an error
  std::vector<OutputUse> open{};        // places that wait for outputs of the infrastructure
  std::vector<spec::Finding> findings;  // what cannot be rendered, and fields that nothing rendered
};

struct OriginFile {
  std::string path;
  std::string
      what;  // "values of the chart loki 18.11.0, release loki in logging"; "Deployment web, Service web"
};

// Which part of the platform made files, and what of the documents it acted on: for `tidegate explain`.
// Refers to the documents.
struct Origin {
  std::string part;        // "metrics"; empty for RUNBOOK.md and plan.json, which tell of all parts
  bool collected = false;  // made of what all other parts declare, beside the fields below
  std::vector<OriginFile> files;
  std::vector<spec::Read> reads;
};

// `platform`: name of the Platform, empty if there is only one. `environment`: the tree of one of its
// delivery.environments; empty: of the document as it stands, and what its environments change is judged too.
// `outputs`, unless null, are put where their names stand.
// `origins`, unless null, gets where each file of the document as it stands comes from.
// Errors: no_platform, many_platforms, unknown_reference.
Result<Rendered> render(const spec::Documents& documents, std::string_view platform = {},
                        std::vector<Origin>* origins = nullptr, std::string_view environment = {},
                        const OutputValues* outputs = nullptr);

}  // namespace tg::render
