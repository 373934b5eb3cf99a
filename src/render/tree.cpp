#include "render/tree.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "base/fd.hpp"
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

// False: errno says why.
bool write_all(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

// The whole file or the old one. It is not forced to the disk: a tree can be rendered again.
Result<> write_one(const std::string& path, const File& file) {
  const std::string temporary = fmt::format("{}.tmp-{}", path, ::getpid());
  {
    const Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                       file.executable ? 0755U : 0644U));
    if (!fd) return fail_errno("cannot_write", path, errno);
    if (write_all(fd.get(), file.content) && ::rename(temporary.c_str(), path.c_str()) == 0) return {};
  }
  const int err = errno;
  ::unlink(temporary.c_str());
  return fail_errno("cannot_write", path, err);
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
  const auto take = [&](const std::string& at) {
    if (const auto file = files_.find(at); file != files_.end()) out.files_.insert(*file);
    const std::string folder = at.ends_with('/') ? at : at + '/';
    for (auto it = files_.lower_bound(folder); it != files_.end() && it->first.starts_with(folder); ++it)
      out.files_.insert(*it);
  };
  take(std::string(path));
  // "components/metrics/…" is also "components/40-metrics/…".
  constexpr std::string_view kComponents = "components/";
  if (!path.starts_with(kComponents)) return out;
  const std::string_view wanted = path.substr(kComponents.size());
  const std::string_view name = wanted.substr(0, wanted.find('/'));
  for (auto it = files_.lower_bound(std::string(kComponents));
       it != files_.end() && it->first.starts_with(kComponents);) {
    const std::string folder = it->first.substr(0, it->first.find('/', kComponents.size()));
    const std::string_view own = std::string_view(folder).substr(kComponents.size());
    if (own.size() > 3 && own[2] == '-' && own.substr(3) == name)
      take(folder + std::string(wanted.substr(name.size())));
    it = files_.lower_bound(folder + static_cast<char>('/' + 1));
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

namespace {

// What was rendered into the folder before. Error not_a_tree: it holds something else.
Result<std::set<std::string>> files_before(const std::string& folder) {
  std::error_code error;
  if (fs::exists(folder + "/" + std::string(kList), error)) {
    auto list = listed(folder);
    if (!list) return fail("cannot_write", list.error().message, list.error().hint);
    return list;
  }
  if (fs::is_empty(folder, error) && !error) return std::set<std::string>();
  return fail("not_a_tree", fmt::format("{} holds files that no tidegate render wrote", folder),
              "render into a new or empty folder: -o NEW_DIR");
}

// Nothing may be written through a link that somebody put into the tree, nor over a file that is not its own.
Result<> prepare(const Tree& tree, const std::string& folder, const std::set<std::string>& before) {
  std::error_code error;
  std::set<fs::path> made;
  for (const auto& [path, file] : tree.files()) {
    const fs::path parent = fs::path(path).parent_path();
    if (made.insert(parent).second) {
      fs::path at = folder;
      for (const fs::path& step : parent) {
        at /= step;
        if (fs::is_symlink(at, error)) {
          return fail("not_a_tree", fmt::format("{} is a link that leads out of the tree", at.string()),
                      "remove it, or render into a new folder");
        }
      }
      fs::create_directories(at, error);
      if (error) return fail("cannot_write", fmt::format("{}: {}", at.string(), error.message()));
    }
    const std::string whole = folder + "/" + path;
    if (!before.contains(path) && fs::exists(fs::symlink_status(whole, error))) {
      return fail("not_a_tree", fmt::format("{} is in the way: no tidegate render wrote it", whole),
                  "move it, or render into a new folder");
    }
  }
  return {};
}

// Files of the tree before that are not in this one, and folders that are empty then.
void remove_old(const std::string& folder, const std::set<std::string>& before, const Tree& tree) {
  std::error_code error;
  for (const std::string& path : before) {
    if (tree.find(path) != nullptr || !inside(path)) continue;
    fs::remove(folder + "/" + path, error);
    for (fs::path up = fs::path(path).parent_path(); !up.empty(); up = up.parent_path()) {
      if (!fs::remove(fs::path(folder) / up, error)) break;
    }
  }
}

}  // namespace

Result<> write_tree(const Tree& tree, const std::string& folder, bool whole) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return fail("cannot_write", fmt::format("{}: {}", folder, error.message()));
  const auto before = files_before(folder);
  if (!before) return std::unexpected(before.error());
  if (auto good = prepare(tree, folder, *before); !good) return good;
  // The list first: what a run that is cut short has written is known to the next.
  std::set<std::string> all = *before;
  for (const auto& [path, file] : tree.files()) all.insert(path);
  const auto write_list = [&folder](const auto& paths) {
    std::string list;
    for (const std::string& path : paths) list += path + "\n";
    return write_one(folder + "/" + std::string(kList), {std::move(list), false});
  };
  if (auto done = write_list(all); !done) return done;
  for (const auto& [path, file] : tree.files()) {
    if (auto done = write_one(folder + "/" + path, file); !done) return done;
  }
  if (!whole) return {};
  remove_old(folder, *before, tree);
  std::vector<std::string> now;
  for (const auto& [path, file] : tree.files()) now.push_back(path);
  return write_list(now);
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
