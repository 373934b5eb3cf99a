// Documents in their one form: shorthands written out, and several writings of one document put together.
// Pure; nothing is judged here, what does not fit is left for the check.
#pragma once

#include "spec/fields.hpp"
#include "text/yaml.hpp"

namespace tg::spec {

// Writes out what stands for a map or a list: `logs: loki`, `engine: simulated`, `count: 3`,
// `{secretRef: NAME}`. Null stays, so that it can remove in merge(). A second time changes nothing.
void normalise(DocumentKind kind, text::Node& document);

// JSON merge patch (RFC 7396) of `patch` over `base`, both in their one form. What is one thing, a secret's
// place, is replaced as a whole. Places of what stays are those of `base`. `table`: path in the field table
// of both maps, "" for documents.
void merge(DocumentKind kind, text::Node& base, const text::Node& patch, std::string_view table = {});

}  // namespace tg::spec
