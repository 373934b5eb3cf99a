// Watches the folders of the documents (renames and symlink swaps show there, not in the file) and calls back
// once nothing has changed for 200 ms. Control loop only.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "net/loop.hpp"

namespace tg::app {

class DocumentWatch {
 public:
  DocumentWatch(net::Loop& loop, std::function<void()> changed);
  ~DocumentWatch();

  // Files and directories as given on the command line; "-" is not watched.
  void watch(const std::vector<std::string>& paths);

 private:
  class Reader;
  net::Loop& loop_;
  net::CallbackTimer settle_;
  std::unique_ptr<Reader> reader_;
};

}  // namespace tg::app
