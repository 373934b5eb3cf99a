#include "app/document_watch.hpp"

#include <sys/inotify.h>
#include <sys/stat.h>

namespace tg::app {

namespace {
constexpr Nanos kSettle = 200 * kMillisecond;
constexpr std::uint32_t kEvents =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF;
}  // namespace

class DocumentWatch::Reader final : public net::Handler {
 public:
  Reader(net::Loop& loop, net::Timer& settle)
      : loop_(loop), settle_(settle), fd_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    if (fd_) loop_.add(fd_.get(), *this, EPOLLIN | EPOLLET);
  }
  void on_events(std::uint32_t) override {
    alignas(inotify_event) char buffer[4096];
    bool any = false;
    while (::read(fd_.get(), buffer, sizeof buffer) > 0) any = true;
    if (any) loop_.arm_after(settle_, kSettle);
  }
  int fd() const { return fd_.get(); }

 private:
  net::Loop& loop_;
  net::Timer& settle_;
  Fd fd_;
};

DocumentWatch::DocumentWatch(net::Loop& loop, std::function<void()> changed)
    : loop_(loop),
      settle_([f = std::move(changed)](Nanos) { f(); }),
      reader_(std::make_unique<Reader>(loop, settle_)) {}

DocumentWatch::~DocumentWatch() {
  if (reader_->fd() >= 0) loop_.remove(reader_->fd());
}

void DocumentWatch::watch(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    if (path == "-" || reader_->fd() < 0) continue;
    struct stat info{};
    std::string folder = path;
    if (::stat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
      const std::size_t slash = path.rfind('/');
      folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    }
    ::inotify_add_watch(reader_->fd(), folder.c_str(), kEvents);
  }
}

}  // namespace tg::app
