// One file of the journal, mapped into memory. Made, prefaulted, dropped and unmapped by the writer thread;
// between, one worker appends to it. The pages are the kernel's: kill -9 loses nothing that was stored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "ledger/record.hpp"

namespace tg::ledger {

class Segment {
 public:
  // A new file of `bytes` with all its blocks reserved (else a full disk would be SIGBUS). Nothing is left
  // behind on an error. Errors: disk_full, cannot_create.
  static Result<std::unique_ptr<Segment>> create(const std::string& path, SegmentHeader header,
                                                 std::uint64_t bytes);
  // An existing file, read-only. Errors: cannot_read, segment_invalid.
  static Result<std::unique_ptr<Segment>> open(const std::string& path);

  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  const SegmentHeader& header() const { return header_; }
  const std::string& path() const { return path_; }
  std::byte* data() { return data_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::uint64_t size() const { return size_; }

  // Makes the pages of [from, to) writable without a fault of the worker. Best effort.
  void prefault(std::uint64_t from, std::uint64_t to);
  // Takes the whole pages of [from, to) out of this process's memory; their content stays.
  void drop(std::uint64_t from, std::uint64_t to);
  Result<> sync();
  // True if bytes other than zero follow `offset`: something was written there that cannot be read.
  bool has_data_after(std::uint64_t offset) const;

 private:
  Segment(Fd fd, std::string path, std::byte* data, std::uint64_t size)
      : fd_(std::move(fd)), path_(std::move(path)), data_(data), size_(size) {}
  Fd fd_;
  std::string path_;
  std::byte* data_;
  std::uint64_t size_;
  SegmentHeader header_;
};

// DIR/journal/w<worker>-<sequence>.log
std::string segment_path(const std::string& dir, std::uint32_t worker, std::uint64_t sequence);

struct SegmentFile {
  std::uint32_t worker = 0;
  std::uint64_t sequence = 0;
  std::string path;
};
// The segments of DIR/journal by worker, then sequence. Other files are left alone.
Result<std::vector<SegmentFile>> list_segments(const std::string& dir);

// Gives the unused blocks of a finished segment back to the disk.
Result<> trim_segment(const std::string& path, std::uint64_t used);

}  // namespace tg::ledger
