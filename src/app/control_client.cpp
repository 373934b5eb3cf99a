#include "app/control_client.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/fd.hpp"
#include "http/head.hpp"

namespace tg::app {

namespace {

constexpr std::size_t kMaxAnswer = 256 << 20;

Result<Fd> connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return fail(
        "path_too_long",
        fmt::format("the control socket's path {} has more than {} bytes", path, sizeof address.sun_path - 1),
        "use a shorter data directory with --data");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("control_failed", "cannot make a socket", errno);
  int r = 0;
  do {
    r = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  } while (r != 0 && errno == EINTR);
  if (r == 0) return fd;
  if (errno == EACCES) return fail_errno("control_failed", path, errno);
  return fail("not_running", fmt::format("no tidegate runs on {}", path.substr(0, path.rfind("/run/"))),
              "start it with `tidegate up`, or name its data directory with --data");
}

}  // namespace

bool ControlClient::running() const { return connect_to(path_).has_value(); }

Result<admin::Response> ControlClient::call(std::string_view method, std::string_view target,
                                            std::string_view body, const std::function<void()>& on_slow,
                                            Nanos timeout) const {
  auto fd = connect_to(path_);
  if (!fd) return std::unexpected(fd.error());
  const std::string message = fmt::format(
      "{} {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: "
      "application/json\r\nContent-Length: {}\r\n\r\n{}",
      method, target, body.size(), body);
  std::string_view rest = message;
  while (!rest.empty()) {
    const ssize_t n = ::send(fd->get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("control_failed", "cannot ask the running tidegate", errno);
    rest.remove_prefix(static_cast<std::size_t>(n));
  }

  std::string bytes, content_type;
  std::size_t scanned = 0, head_end = 0;
  http::ResponseHead head;
  http::ParseError bad;
  bool have_head = false, told = false;
  const Nanos start = mono_now();
  for (;;) {
    if (have_head && head.has_length && bytes.size() - head_end >= head.length) break;
    const Nanos waited = mono_now() - start;
    if (waited >= timeout) {
      return fail("control_timeout",
                  fmt::format("the running tidegate did not answer within {} s", timeout / kSecond),
                  "tidegate diagnose");
    }
    if (!told && waited >= kSecond) {
      told = true;
      if (on_slow) on_slow();
    }
    pollfd wait{fd->get(), POLLIN, 0};
    const Nanos until = told ? timeout - waited : std::min(kSecond - waited, timeout - waited);
    const int ready = ::poll(&wait, 1, static_cast<int>(until / kMillisecond) + 1);
    if (ready < 0 && errno != EINTR)
      return fail_errno("control_failed", "cannot wait for the running tidegate", errno);
    if (ready <= 0) continue;
    std::array<char, 65536> buffer;  // NOLINT: filled by recv
    const ssize_t n = ::recv(fd->get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("control_failed", "the running tidegate closed the connection", errno);
    if (n == 0) {
      if (have_head && head.until_close) break;
      return fail("control_failed",
                  "the running tidegate closed the connection before its answer was complete",
                  "it may be stopping; tidegate status shows");
    }
    bytes.append(buffer.data(), static_cast<std::size_t>(n));
    if (bytes.size() > kMaxAnswer)
      return fail("control_failed", "the answer of the running tidegate is too large");
    if (!have_head) {
      const auto found = http::find_head_end(bytes, scanned, head_end, bad);
      if (found == http::ParseStatus::incomplete) continue;
      if (found == http::ParseStatus::error ||
          !http::parse_response_head(std::string_view(bytes).substr(0, head_end), head, bad) ||
          head.chunked) {
        return fail("control_failed", "what listens on the control socket does not speak the admin API");
      }
      content_type = std::string(head.find(http::FieldId::content_type));  // before `bytes` moves
      have_head = true;
    }
  }
  admin::Response response;
  response.status = head.status;
  response.content_type = std::move(content_type);
  response.body = bytes.substr(head_end, head.has_length ? head.length : std::string::npos);
  return response;
}

}  // namespace tg::app
