// Watches what decides the bytes of the documents, and calls back once none of it has changed for 200 ms. A
// file is followed as the kernel finds it: each name on its way, of a folder or of a link, is watched in the
// folder that holds it, so that a file, a link or a folder that is replaced shows. Control loop only.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "net/loop.hpp"

namespace tg::app {

// Of each folder the names that matter; an empty set: all of them.
using WatchedNames = std::map<std::string, std::set<std::string>>;

// The folders and names that decide what `path` is now: those on its way, and all names in it if it is a
// folder. What is missing ends the way: its name is watched in the last folder that exists.
void add_names_on_the_way(const std::string& path, WatchedNames& names);

class DocumentWatch {
 public:
  DocumentWatch(net::Loop& loop, std::function<void()> changed);
  ~DocumentWatch();

  // From now on these files and folders; "-" is not watched. Where a folder is new among them, the callback
  // comes once more: what happened in it before now was not seen.
  void watch(const std::vector<std::string>& paths);

 private:
  class Reader;
  net::Loop& loop_;
  net::CallbackTimer settle_;
  std::unique_ptr<Reader> reader_;
};

}  // namespace tg::app
