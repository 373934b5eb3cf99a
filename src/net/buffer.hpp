// Byte buffers from a per-loop pool. A Buffer is a contiguous growing block; when it dies its block goes back
// to the pool of the loop that made it (the pool keeps a bounded number and frees the rest), so an idle
// connection holds no buffer at all. One thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace tg::net {

// Bytes past the end that a reader may touch (simdjson reads whole vectors).
inline constexpr std::size_t kPadding = 64;

class BufferPool;

class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { release(); }

  char* data() { return data_; }
  const char* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::size_t room() const { return capacity_ - size_; }
  std::string_view view() const { return {data_, size_}; }

  // Grows geometrically; existing bytes are kept.
  void append(BufferPool& pool, std::string_view bytes) {
    if (bytes.empty()) return;
    if (room() < bytes.size()) grow(pool, size_ + bytes.size());
    std::memcpy(data_ + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
  }
  // At least `capacity` bytes in all (padding comes on top).
  void reserve(BufferPool& pool, std::size_t capacity) {
    if (capacity_ < capacity) grow(pool, capacity);
  }
  void add_size(std::size_t n) { size_ += n; }  // after writing into data() + size()
  void consume(std::size_t n);                  // drops n bytes from the front (moves the rest)
  void clear() { size_ = 0; }
  void release();  // gives the block back

 private:
  friend class BufferPool;
  void grow(BufferPool& pool, std::size_t capacity);
  BufferPool* pool_ = nullptr;
  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

class BufferPool {
 public:
  BufferPool() = default;
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // Frees the blocks that lay unused since the last call. The loop calls it a second after large() became
  // true, and again while it is.
  void trim();
  bool large() const { return free_bytes_ > kQuietBytes; }

 private:
  friend class Buffer;
  // Classes 1 KiB … 256 KiB by powers of two; larger blocks are not pooled. Fresh memory is dear: the kernel
  // clears each of its pages at the first touch, which for a body of 100 KB costs more than to read and scan
  // it.
  static constexpr std::size_t kSmallest = 1024;
  static constexpr std::size_t kClasses = 9;
  static constexpr std::size_t kKeepBytes = 4 << 20;     // of free blocks, all classes together
  static constexpr std::size_t kQuietBytes = 256 << 10;  // this much may stay for ever

  struct Class {
    std::vector<char*> free;
    std::size_t unused = 0;  // the least number of free blocks since the last trim()
  };

  char* take(std::size_t& capacity);
  void give(char* block, std::size_t capacity);
  std::array<Class, kClasses> classes_;
  std::size_t free_bytes_ = 0;
};

}  // namespace tg::net
