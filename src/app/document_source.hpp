// Where the documents of `up` come from: -f, else DIR/documents, else the built-in Model `simulated`; --model
// and --simulated add documents of their own. Loaded again at each reload. Control thread.
#pragma once

#include <string>
#include <vector>

#include "app/up.hpp"
#include "spec/decode.hpp"

namespace tg::app {

class DocumentSource {
 public:
  // Reads standard input here, once, if "-" is among the files.
  DocumentSource(const UpOptions& options, const std::string& dir);

  // Files and folders as they were named.
  const std::vector<std::string>& paths() const { return paths_; }
  // What to watch: the files and folders that were named, and the files that the last load() found.
  std::vector<std::string> watched() const;

  struct Loaded : spec::DecodeResult {
    std::vector<std::string> texts(spec::Severity severity) const;  // the findings of it, one text each
  };
  Loaded load();
  // True if the last load() read other bytes than the one before.
  bool changed() const { return changed_; }
  // The order in which files were given: the first Model of the first file is the one to try.
  std::size_t rank(const std::string& file) const;

 private:
  std::vector<std::string> paths_;
  std::string standard_input_;
  std::vector<spec::Source> made_;  // documents made from flags
  bool built_in_if_empty_ = false;
  bool changed_ = true;
  std::string digest_;              // of all bytes read by the last load()
  std::vector<std::string> order_;  // names of the sources of the last load()
  std::vector<std::string> found_;  // files of the last load()
};

}  // namespace tg::app
