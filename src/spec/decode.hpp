// Files to documents: parse, check by the field table, bind, connect. Every error of all files comes out of
// one call. Pure: any thread, nothing is read, nothing thrown.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "spec/documents.hpp"
#include "spec/finding.hpp"

namespace tg::spec {

struct Source {
  std::string name;     // as the user named the file; "-" for standard input
  std::string content;  // YAML or JSON, any number of documents
};

struct DecodeResult {
  Documents documents;            // usable only if ok()
  std::vector<Finding> findings;  // in the order of files and lines

  bool ok() const;           // no finding is an error
  std::string text() const;  // all findings, a line feed after each; empty if there are none
};

// `complete` = false: some documents are missing from `sources` for a reason that the caller reports, so
// references to what is not there are not judged.
DecodeResult decode(const std::vector<Source>& sources, bool complete = true);

}  // namespace tg::spec
