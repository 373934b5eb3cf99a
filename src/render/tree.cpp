#include "render/tree.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "base/files.hpp"
#include "base/id.hpp"

namespace tg::render {

namespace {

namespace fs = std::filesystem;

// Names the files that a tree wrote, so that the next one knows which are its own.
constexpr std::string_view kList = ".tidegate-files";

Result<std::set<std::string>> listed(const std::string& folder) {
  auto text = read_file(folder + "/" + std::string(kList), 64 << 20);
  if (!text) return std::unexpected(std::move(text.error()));
  std::set<std::string> out;
  std::size_t begin = 0;
  while (begin < text->size()) {
    const std::size_t end = std::min(text->find('\n', begin), text->size());
    if (end > begin) out.insert(text->substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

// A listed name that points out of the folder was not written by us.
bool inside(const std::string& path) {
  const fs::path p(path);
  if (p.is_absolute()) return false;
  for (const auto& step : p) {
    if (step == "..") return false;
  }
  return true;
}

Result<> write_one(const std::string& path, const File& file) {
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  if (error) return fail("cannot_write", fmt::format("{}: {}", path, error.message()));
  auto done = replace_file(path, file.content, file.executable ? 0755 : 0644);
  if (!done) return fail("cannot_write", done.error().message, done.error().hint);
  return {};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    out.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

// The changed lines between two texts: what they share at both ends is left out, the middle is compared by
// the longest common subsequence. Rendered files are small; a middle too large for the table is shown whole.
void diff_lines(const std::string& before, const std::string& after, std::string& out) {
  std::vector<std::string> a = lines_of(before), b = lines_of(after);
  std::size_t head = 0;
  while (head < a.size() && head < b.size() && a[head] == b[head]) ++head;
  std::size_t tail = 0;
  while (tail < a.size() - head && tail < b.size() - head && a[a.size() - 1 - tail] == b[b.size() - 1 - tail])
    ++tail;
  const std::size_t n = a.size() - head - tail, m = b.size() - head - tail;
  const auto show = [&](char sign, const std::string& line) { out += fmt::format("    {}{}\n", sign, line); };
  if (n * m > 4'000'000) {
    for (std::size_t i = 0; i < n; ++i) show('-', a[head + i]);
    for (std::size_t j = 0; j < m; ++j) show('+', b[head + j]);
    return;
  }
  std::vector<std::vector<int>> longest(n + 1, std::vector<int>(m + 1, 0));
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t j = m; j-- > 0;) {
      longest[i][j] = a[head + i] == b[head + j] ? longest[i + 1][j + 1] + 1
                                                 : std::max(longest[i + 1][j], longest[i][j + 1]);
    }
  }
  std::size_t i = 0, j = 0;
  while (i < n || j < m) {
    if (i < n && j < m && a[head + i] == b[head + j]) {
      ++i;
      ++j;
    } else if (j == m || (i < n && longest[i + 1][j] >= longest[i][j + 1])) {
      show('-', a[head + i++]);
    } else {
      show('+', b[head + j++]);
    }
  }
}

}  // namespace

void Tree::add(std::string path, std::string content, bool executable) {
  const auto [it, fresh] = files_.try_emplace(std::move(path), File{std::move(content), executable});
  if (!fresh) {  // a fault of the renderer: every test that renders the document would hit it
    std::fprintf(stderr, "two parts write %s\n", it->first.c_str());
    std::abort();
  }
}

const File* Tree::find(std::string_view path) const {
  const auto it = files_.find(std::string(path));
  return it == files_.end() ? nullptr : &it->second;
}

Tree Tree::only(std::string_view path) const {
  Tree out;
  for (const auto& [name, file] : files_) {
    std::string plain = name;
    // "components/40-metrics/…" is also "components/metrics/…".
    if (const std::string_view rest = std::string_view(name).starts_with("components/")
                                          ? std::string_view(name).substr(11)
                                          : std::string_view{};
        rest.size() > 3 && rest[2] == '-')
      plain = "components/" + std::string(rest.substr(3));
    for (const std::string_view candidate : {std::string_view(name), std::string_view(plain)}) {
      if (candidate == path ||
          (candidate.starts_with(path) && (path.ends_with('/') || candidate[path.size()] == '/'))) {
        out.files_.emplace(name, file);
        break;
      }
    }
  }
  return out;
}

std::string Tree::digest() const {
  Sha256 sha;
  sha.begin();
  for (const auto& [path, file] : files_) {
    // With separators that no path or mark holds: no two trees read alike.
    sha.update(fmt::format("{}\0{}\0{}\0", path, file.executable ? 'x' : '-', file.content.size()));
    sha.update(file.content);
  }
  std::string out;
  for (const std::uint8_t byte : sha.end()) out += fmt::format("{:02x}", byte);
  return out;
}

Result<> write_tree(const Tree& tree, const std::string& folder, bool whole) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return fail("cannot_write", fmt::format("{}: {}", folder, error.message()));
  std::set<std::string> before;
  const bool ours = fs::exists(folder + "/" + std::string(kList), error);
  if (ours) {
    auto list = listed(folder);
    if (!list) return fail("cannot_write", list.error().message, list.error().hint);
    before = std::move(*list);
  } else if (!fs::is_empty(folder, error)) {
    return fail("not_a_tree", fmt::format("{} has files that were not rendered", folder),
                "render into an empty or new folder");
  }
  for (const auto& [path, file] : tree.files()) {
    if (auto done = write_one(folder + "/" + path, file); !done) return done;
  }
  std::set<std::string> now;
  if (!whole) now = before;
  for (const auto& [path, file] : tree.files()) now.insert(path);
  if (whole) {
    for (const std::string& path : before) {
      if (now.contains(path) || !inside(path)) continue;
      fs::remove(folder + "/" + path, error);
      // Folders that are empty now go too.
      for (fs::path up = fs::path(path).parent_path(); !up.empty(); up = up.parent_path()) {
        if (!fs::remove(fs::path(folder) / up, error)) break;
      }
    }
  }
  std::string list;
  for (const std::string& path : now) list += path + "\n";
  return write_one(folder + "/" + std::string(kList), {std::move(list), false});
}

Result<std::string> diff_tree(const std::string& old_folder, const Tree& tree) {
  auto before = listed(old_folder);
  if (!before) {
    return fail("cannot_read",
                fmt::format("{} is not a rendered tree: {}", old_folder, before.error().message),
                "name a folder that tidegate render wrote");
  }
  std::set<std::string> all = *before;
  for (const auto& [path, file] : tree.files()) all.insert(path);
  std::string out;
  for (const std::string& path : all) {
    const File* now = tree.find(path);
    if (now == nullptr) {
      out += fmt::format("- {}\n", path);
    } else if (!before->contains(path)) {
      out += fmt::format("+ {}\n", path);
    } else {
      auto was = read_file(old_folder + "/" + path, 64 << 20);
      if (!was) return fail("cannot_read", was.error().message, was.error().hint);
      if (*was == now->content) continue;
      out += fmt::format("~ {}\n", path);
      diff_lines(*was, now->content, out);
    }
  }
  return out;
}

}  // namespace tg::render
