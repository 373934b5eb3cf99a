#include "ledger/access_log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/clock.hpp"
#include "base/files.hpp"

namespace tg::ledger {

namespace {

constexpr std::size_t kFlushAt = 128 * 1024;
// A line without its kind: time, id, eight numbers and their field names.
constexpr std::size_t kMostRest = 640;

std::int64_t inode_of(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<std::int64_t>(info.st_ino) : 0;
}

// Cuts `path` back to `size` if it is longer.
Result<> cut(const std::string& path, std::int64_t size) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || info.st_size <= size) return {};
  if (::truncate(path.c_str(), size) != 0) return fail_errno("cannot_write", path, errno);
  return {};
}

}  // namespace

Result<AccessLog> AccessLog::open(const std::string& dir, Options options, AccessLogMark mark) {
  AccessLog log;
  log.options_ = options;
  log.path_ = dir + "/logs/access.log";
  if (auto r = make_directories(dir + "/logs"); !r) return std::unexpected(r.error());
  if (mark.inode != 0) {
    // The file may have been renamed since the mark was made. Then the younger ones hold only lines after the
    // mark.
    const auto name = [&](int i) { return i == 0 ? log.path_ : fmt::format("{}.{}", log.path_, i); };
    int marked = 0;
    while (marked <= options.keep && inode_of(name(marked)) != mark.inode) ++marked;
    if (marked <= options.keep) {
      if (auto r = cut(name(marked), mark.size); !r) return std::unexpected(r.error());
      for (int i = 1; i < marked; ++i) ::unlink(name(i).c_str());
      if (marked > 0) {
        if (auto r = cut(log.path_, 0); !r) return std::unexpected(r.error());
      }
    }
  }
  if (auto r = log.reopen(); !r) return std::unexpected(r.error());
  return log;
}

Result<> AccessLog::reopen() {
  Fd fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  struct stat info{};
  if (!fd || ::fstat(fd.get(), &info) != 0) return fail_errno("cannot_write", path_, errno);
  fd_ = std::move(fd);
  inode_ = static_cast<std::int64_t>(info.st_ino);
  size_ = info.st_size;
  return {};
}

Result<> AccessLog::rotate() {
  for (int i = options_.keep; i > 1; --i) {
    ::rename(fmt::format("{}.{}", path_, i - 1).c_str(), fmt::format("{}.{}", path_, i).c_str());
  }
  if (options_.keep < 1) {
    ::unlink(path_.c_str());
  } else if (::rename(path_.c_str(), (path_ + ".1").c_str()) != 0 && errno != ENOENT) {
    return fail_errno("cannot_write", path_ + ".1", errno);
  }
  return reopen();
}

void AccessLog::describe(const SettleBody& s, const SettleNames& names) {
  kind_ = {names, s.key, s.status, s.outcome, s.stream, s.reported};
  kind_text_ = fmt::format(
      "\",\"key\":{},\"tenant\":{},\"route\":{},\"model\":{},\"backend\":{},\"operation\":{},\"stream\":{},"
      "\"status\":{},"
      "\"outcome\":\"{}\"",
      s.key, names.tenant->json, names.route->json, names.model->json, names.backend->json,
      names.operation->json, s.stream != 0, s.status, outcome_name(s.outcome));
  if (!names.reason->text.empty()) kind_text_ += ",\"reason\":" + names.reason->json;
  kind_text_ +=
      s.reported != 0 ? ",\"usage\":\"reported\",\"tokens_in\":" : ",\"usage\":\"estimated\",\"tokens_in\":";
}

namespace {

// Writes into memory that is known to be large enough: one line is some twenty pieces, and a bounds check for
// each would cost more than the pieces.
struct Pen {
  char* at;

  void put(std::string_view text) {
    std::memcpy(at, text.data(), text.size());
    at += text.size();
  }
  void put_number(std::uint64_t value) {
    if (value < 10) {
      *at++ = static_cast<char>('0' + value);
      return;
    }
    const fmt::format_int text(value);
    put({text.data(), text.size()});
  }
  void put_number(std::int64_t value) {
    put_number(static_cast<std::uint64_t>(std::max<std::int64_t>(value, 0)));
  }
  void put_three(unsigned value) {  // below 1000
    *at++ = static_cast<char>('0' + value / 100);
    *at++ = static_cast<char>('0' + value / 10 % 10);
    *at++ = static_cast<char>('0' + value % 10);
  }
  void put_millis(std::int64_t ns) {
    const auto us = static_cast<std::uint64_t>(std::max<std::int64_t>(ns, 0) / kMicrosecond);
    put_number(us / 1000);
    *at++ = '.';
    put_three(static_cast<unsigned>(us % 1000));
  }
};

}  // namespace

void AccessLog::append(const SettleBody& s, const SettleNames& names) {
  if (!(kind_ == Kind{names, s.key, s.status, s.outcome, s.stream, s.reported})) describe(s, names);
  const std::int64_t utc_ns = std::max<std::int64_t>(s.utc_ns, 0);
  if (const std::int64_t second = utc_ns / kSecond; second != second_) {
    second_ = second;
    second_text_ = format_utc(second * kSecond).substr(0, 20);
  }
  if (used_ >= kFlushAt) {
    [[maybe_unused]] const auto seen_in_dropped_lines = flush();
  }
  if (buffer_.size() < used_ + kind_text_.size() + kMostRest)
    buffer_.resize(used_ + kind_text_.size() + kMostRest + 4096);

  Pen pen{buffer_.data() + used_};
  pen.put("{\"time\":\"");
  pen.put(second_text_);
  pen.put_three(static_cast<unsigned>(utc_ns % kSecond / kMillisecond));
  pen.put("Z\",\"id\":\"req_");
  format_ulid(s.id, pen.at);
  pen.at += 26;
  pen.put(kind_text_);
  pen.put_number(s.tokens_in);
  pen.put(",\"tokens_out\":");
  pen.put_number(s.tokens_out);
  pen.put(",\"tokens_cached\":");
  pen.put_number(s.tokens_cached);
  pen.put(",\"first_byte_ms\":");
  pen.put_millis(s.first_byte_ns);
  pen.put(",\"total_ms\":");
  pen.put_millis(s.total_ns);
  pen.put(",\"bytes_in\":");
  pen.put_number(s.bytes_in);
  pen.put(",\"bytes_out\":");
  pen.put_number(s.bytes_out);
  pen.put(",\"retries\":");
  pen.put_number(std::uint64_t{s.retries});
  pen.put("}\n");
  used_ = static_cast<std::size_t>(pen.at - buffer_.data());
  ++lines_;
}

Result<> AccessLog::flush() {
  if (used_ == 0) return {};
  const auto drop = [this] {
    dropped_ += lines_;
    lines_ = 0;
    used_ = 0;
  };
  if (inode_of(path_) != inode_) {
    if (auto r = reopen(); !r) {
      drop();
      return r;
    }
  }
  std::size_t done = 0;
  while (done < used_) {
    const ssize_t n = ::write(fd_.get(), buffer_.data() + done, used_ - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int err = errno;
      // Half a line must not stay: the next batch would continue it.
      [[maybe_unused]] const int cut = ::ftruncate(fd_.get(), size_);
      drop();
      return fail_errno("cannot_write", path_, err);
    }
    done += static_cast<std::size_t>(n);
  }
  size_ += static_cast<std::int64_t>(used_);
  used_ = 0;
  lines_ = 0;
  if (static_cast<std::uint64_t>(size_) >= options_.bytes) return rotate();
  return {};
}

}  // namespace tg::ledger
