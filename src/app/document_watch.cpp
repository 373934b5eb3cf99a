#include "app/document_watch.hpp"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstring>
#include <deque>
#include <unordered_map>

namespace tg::app {

namespace {

constexpr Nanos kSettle = 200 * kMillisecond;
constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE |
                                  IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;
constexpr int kMostLinks = 40;  // as the kernel

std::deque<std::string> parts_of(const std::string& path) {
  std::deque<std::string> parts;
  for (std::size_t from = 0; from < path.size();) {
    const std::size_t end = std::min(path.find('/', from), path.size());
    if (end > from && path.compare(from, end - from, ".") != 0)
      parts.push_back(path.substr(from, end - from));
    from = end + 1;
  }
  return parts;
}

std::string start_of(const std::string& path) { return path.starts_with('/') ? "/" : "."; }

std::string below(const std::string& folder, const std::string& name) {
  return folder == "/" ? "/" + name : folder + "/" + name;
}

std::string target_of(const std::string& link) {
  std::array<char, PATH_MAX> target;
  const ssize_t n = ::readlink(link.c_str(), target.data(), target.size());
  return n > 0 ? std::string(target.data(), static_cast<std::size_t>(n)) : std::string();
}

void add_name(WatchedNames& names, const std::string& folder, const std::string& name) {
  const auto [at, added] = names.try_emplace(folder);
  if (added || !at->second.empty()) at->second.insert(name);
}

}  // namespace

void add_names_on_the_way(const std::string& path, WatchedNames& names) {
  std::string folder = start_of(path);
  std::deque<std::string> rest = parts_of(path);
  struct stat info{};
  for (int links = 0; !rest.empty();) {
    const std::string name = rest.front();
    const std::string here = below(folder, name);
    rest.pop_front();
    if (name != "..") add_name(names, folder, name);
    if (::lstat(here.c_str(), &info) != 0) return;
    if (S_ISLNK(info.st_mode)) {
      const std::string target = target_of(here);
      if (target.empty() || ++links > kMostLinks) return;
      if (target.starts_with('/')) folder = "/";
      const std::deque<std::string> parts = parts_of(target);
      rest.insert(rest.begin(), parts.begin(), parts.end());
      continue;
    }
    if (!S_ISDIR(info.st_mode)) return;
    folder = here;
  }
  names[folder].clear();  // all of them
}

class DocumentWatch::Reader final : public net::Handler {
 public:
  Reader(net::Loop& loop, net::Timer& settle)
      : loop_(loop), settle_(settle), fd_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    if (fd_) loop_.add(fd_.get(), *this, EPOLLIN | EPOLLET);
  }

  void on_events(std::uint32_t) override {
    alignas(inotify_event) std::array<char, 4096> buffer;
    bool any = false;
    for (ssize_t n; (n = ::read(fd_.get(), buffer.data(), buffer.size())) > 0;) {
      for (std::size_t at = 0; at < static_cast<std::size_t>(n);) {
        inotify_event event;
        std::memcpy(&event, buffer.data() + at, sizeof event);
        const char* name = buffer.data() + at + sizeof event;
        any = matters(event, event.len > 0 ? name : "") || any;
        at += sizeof event + event.len;
      }
    }
    if (any) loop_.arm_after(settle_, kSettle);
  }

  void watch(const WatchedNames& wanted) {
    std::unordered_map<int, std::set<std::string>> watches;
    bool more = false;
    for (const auto& [folder, names] : wanted) {
      const int watch = ::inotify_add_watch(fd_.get(), folder.c_str(), kEvents | IN_ONLYDIR);
      if (watch < 0) continue;  // gone since, or may not be read: then its parent shows the change
      more = more || !watches_.contains(watch);
      const auto [at, added] = watches.try_emplace(watch, names);
      // Two ways to one folder.
      if (!added && (names.empty() || at->second.empty())) at->second.clear();
      if (!added && !at->second.empty()) at->second.insert(names.begin(), names.end());
    }
    for (const auto& [watch, names] : watches_) {
      if (!watches.contains(watch)) ::inotify_rm_watch(fd_.get(), watch);
    }
    watches_ = std::move(watches);
    if (more) loop_.arm_after(settle_, kSettle);
  }

  int fd() const { return fd_.get(); }

 private:
  bool matters(const inotify_event& event, const char* name) {
    if ((event.mask & IN_Q_OVERFLOW) != 0) return true;
    const auto at = watches_.find(event.wd);
    if (at == watches_.end()) return false;
    if ((event.mask & IN_IGNORED) != 0) {
      watches_.erase(at);
      return true;
    }
    if (*name == '\0') return (event.mask & (IN_DELETE_SELF | IN_MOVE_SELF)) != 0;
    return at->second.empty() || at->second.contains(name);
  }

  net::Loop& loop_;
  net::Timer& settle_;
  Fd fd_;
  std::unordered_map<int, std::set<std::string>> watches_;  // as WatchedNames
};

DocumentWatch::DocumentWatch(net::Loop& loop, std::function<void()> changed)
    : loop_(loop),
      settle_([f = std::move(changed)](Nanos) { f(); }),
      reader_(std::make_unique<Reader>(loop, settle_)) {}

DocumentWatch::~DocumentWatch() {
  if (reader_->fd() >= 0) loop_.remove(reader_->fd());
}

void DocumentWatch::watch(const std::vector<std::string>& paths) {
  if (reader_->fd() < 0) return;
  WatchedNames names;
  for (const std::string& path : paths) {
    if (path != "-") add_names_on_the_way(path, names);
  }
  reader_->watch(names);
}

}  // namespace tg::app
