// The files of a rendered platform, in memory. Pure but for write_tree and read_tree.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace tg::render {

struct File {
  std::string content;
  bool executable = false;
};

class Tree {
 public:
  // `path` is relative, with '/' between folders. The same path twice is a fault of this program: it ends
  // with a message.
  void add(std::string path, std::string content, bool executable = false);
  // In the order of the paths, so the same documents give the same bytes in the same order.
  const std::map<std::string, File>& files() const { return files_; }
  const File* find(std::string_view path) const;  // nullptr if there is none
  // What lies at `path` or below it ("components/40-metrics"); a component may also be named without its
  // number ("components/metrics").
  Tree only(std::string_view path) const;
  // SHA-256 in hex of all paths and contents.
  std::string digest() const;

 private:
  std::map<std::string, File> files_;
};

// Writes the tree to a folder and nowhere else. The folder is made, or must be empty, or hold a tree that was
// written before: its own list of files says so. Files of that tree that are not in this one are removed,
// files that it did not write are never touched, no link is followed. `whole` = false: nothing is removed.
// Blocking. Errors: cannot_write; not_a_tree, then nothing was written.
Result<> write_tree(const Tree& tree, const std::string& folder, bool whole = true);

// What differs between a folder that was rendered before and the tree: one line per file ("+ PATH", "- PATH",
// "~ PATH") and below a changed file its changed lines. Empty if nothing differs. Errors: cannot_read.
Result<std::string> diff_tree(const std::string& old_folder, const Tree& tree);

}  // namespace tg::render
