#include "ledger/segment.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE \
  23  // Linux 5.14; older kernels answer EINVAL and the worker faults its pages itself
#endif

namespace tg::ledger {

namespace {

constexpr std::uint64_t kPage = 4096;

std::byte* map(int fd, std::uint64_t bytes, int protection) {
  void* p = ::mmap(nullptr, bytes, protection, MAP_SHARED, fd, 0);
  return p == MAP_FAILED ? nullptr : static_cast<std::byte*>(p);
}

bool parse_number(std::string_view text, std::uint64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

Result<std::unique_ptr<Segment>> Segment::create(const std::string& path, SegmentHeader header,
                                                 std::uint64_t bytes) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return fail_errno(errno == ENOSPC || errno == EDQUOT ? "disk_full" : "cannot_create", path, errno);
  if (const int err = ::posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes)); err != 0) {
    ::unlink(path.c_str());
    const bool full = err == ENOSPC || err == EDQUOT || err == EFBIG;
    return fail_errno(full ? "disk_full" : "cannot_create", path, err);
  }
  std::byte* data = map(fd.get(), bytes, PROT_READ | PROT_WRITE);
  if (data == nullptr) {
    const int err = errno;
    ::unlink(path.c_str());
    return fail_errno("cannot_create", path, err);
  }
  header.bytes = bytes;
  header.crc = header_crc(header);
  std::memcpy(data, &header, sizeof header);
  std::unique_ptr<Segment> segment(new Segment(std::move(fd), path, data, bytes));
  segment->header_ = header;
  return segment;
}

Result<std::unique_ptr<Segment>> Segment::open(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("cannot_read", path, errno);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return fail_errno("cannot_read", path, errno);
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size < sizeof(SegmentHeader) || size > UINT32_MAX) {
    return fail("segment_invalid", fmt::format("{}: {} bytes is not the size of a segment", path, size));
  }
  std::byte* data = map(fd.get(), size, PROT_READ);
  if (data == nullptr) return fail_errno("cannot_read", path, errno);
  std::unique_ptr<Segment> segment(new Segment(std::move(fd), path, data, size));
  if (!read_header(segment->bytes(), segment->header_)) {
    return fail("segment_invalid", fmt::format("{}: no valid header", path));
  }
  return segment;
}

Segment::~Segment() { ::munmap(data_, size_); }

void Segment::prefault(std::uint64_t from, std::uint64_t to) {
  from = from / kPage * kPage;
  to = std::min((to + kPage - 1) / kPage * kPage, size_);
  if (from < to) ::madvise(data_ + from, to - from, MADV_POPULATE_WRITE);
}

void Segment::drop(std::uint64_t from, std::uint64_t to) {
  from = (from + kPage - 1) / kPage * kPage;
  to = std::min(to, size_) / kPage * kPage;
  if (from < to) ::madvise(data_ + from, to - from, MADV_DONTNEED);
}

Result<> Segment::sync() {
  if (::fdatasync(fd_.get()) != 0) return fail_errno("cannot_sync", path_, errno);
  return {};
}

bool Segment::has_data_after(std::uint64_t offset) const {
  while (offset < size_) {
    // Blocks that were never written are holes to the kernel: a fresh 64 MiB segment is not read page by
    // page.
    const off_t data = ::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_DATA);
    if (data < 0) return false;
    const off_t hole = ::lseek(fd_.get(), data, SEEK_HOLE);
    const std::uint64_t to = hole < 0 ? size_ : std::min(static_cast<std::uint64_t>(hole), size_);
    for (std::uint64_t i = std::max(offset, static_cast<std::uint64_t>(data)); i < to; ++i) {
      if (data_[i] != std::byte{0}) return true;
    }
    offset = std::max(to, offset + 1);
  }
  return false;
}

std::string segment_path(const std::string& dir, std::uint32_t worker, std::uint64_t sequence) {
  return fmt::format("{}/journal/w{}-{:08}.log", dir, worker, sequence);
}

Result<std::vector<SegmentFile>> list_segments(const std::string& dir) {
  const std::string folder = dir + "/journal";
  DIR* handle = ::opendir(folder.c_str());
  if (handle == nullptr) {
    if (errno == ENOENT) return std::vector<SegmentFile>{};
    return fail_errno("cannot_read", folder, errno);
  }
  std::vector<SegmentFile> files;
  while (const dirent* entry = ::readdir(handle)) {
    std::string_view name = entry->d_name;
    if (!name.starts_with('w') || !name.ends_with(".log")) continue;
    name = name.substr(1, name.size() - 5);
    const std::size_t dash = name.find('-');
    std::uint64_t worker = 0;
    std::uint64_t sequence = 0;
    if (dash == std::string_view::npos || !parse_number(name.substr(0, dash), worker) ||
        !parse_number(name.substr(dash + 1), sequence) || worker > UINT32_MAX || sequence == 0 ||
        sequence > UINT32_MAX) {
      continue;
    }
    files.push_back({static_cast<std::uint32_t>(worker), sequence, folder + "/" + entry->d_name});
  }
  ::closedir(handle);
  std::sort(files.begin(), files.end(), [](const SegmentFile& a, const SegmentFile& b) {
    return a.worker != b.worker ? a.worker < b.worker : a.sequence < b.sequence;
  });
  return files;
}

Result<> trim_segment(const std::string& path, std::uint64_t used) {
  if (::truncate(path.c_str(), static_cast<off_t>(used)) != 0) return fail_errno("cannot_trim", path, errno);
  return {};
}

}  // namespace tg::ledger
