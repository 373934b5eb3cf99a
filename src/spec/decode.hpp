// Files to documents: parse, check by the field table, bind, connect. Every error of all files comes out of
// one call. Pure: any thread, nothing is read, nothing thrown.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
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

// With Purpose::platform a later file may write over documents of earlier ones: same kind and name, JSON
// merge patch, null removes. Twice in one file is an error, and with Purpose::serve twice anywhere (a
// Platform or a TrainingRun excepted, which serving does not look into). `complete` = false: some documents
// are missing from `sources` for a reason that the caller reports, so references to what is not there are not
// judged.
DecodeResult decode(const std::vector<Source>& sources, Purpose purpose = Purpose::serve,
                    bool complete = true);

// The documents of one environment: what stands at spec.delivery.environments.NAME of the Platform is merged
// over its spec, and `environments` is taken out. Findings of the merged form are appended to `out`.
// Error unknown_reference: there is no such Platform or environment.
Result<Documents> in_environment(const Documents& documents, std::string_view platform,
                                 std::string_view environment, std::vector<Finding>& out);

}  // namespace tg::spec
