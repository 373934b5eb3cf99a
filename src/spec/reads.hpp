// Which fields somebody acted on: the values that a user wrote, and the defaults that held. So that what is
// rendered can be explained by the documents. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "spec/documents.hpp"
#include "spec/fields.hpp"
#include "spec/usage.hpp"

namespace tg::spec {

struct Read {
  const Document* document = nullptr;
  const Field* field = nullptr;
  std::string where;     // in its document: "spec.pools.gpu.count.min"
  text::Position at;     // of the value; where the default holds, of the nearest map around it that is there
  bool written = false;  // by the user; else the default holds
  std::string value;     // as the user wrote it, in one line
};

// Of all documents that `usage` was told about, in the order of the documents and of the table. Refers to
// `documents`.
std::vector<Read> reads(const Documents& documents, const Usage& usage);

// Stands in Usage for a field that is not there, known by its path and the map around it.
text::Node absent_field(DocumentKind kind, std::string_view where, text::Mark around);

}  // namespace tg::spec
