#include "net/buffer.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>

namespace tg::net {

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    release();
    pool_ = std::exchange(other.pool_, nullptr);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
  }
  return *this;
}

void Buffer::release() {
  if (data_ != nullptr) pool_->give(data_, capacity_);
  data_ = nullptr;
  size_ = capacity_ = 0;
}

void Buffer::grow(BufferPool& pool, std::size_t capacity) {
  std::size_t wanted = data_ == nullptr ? capacity : std::max(capacity, capacity_ * 2);
  char* block = pool.take(wanted);
  if (data_ != nullptr) {
    std::memcpy(block, data_, size_);
    pool_->give(data_, capacity_);
  }
  pool_ = &pool;
  data_ = block;
  capacity_ = wanted;
}

void Buffer::consume(std::size_t n) {
  size_ -= n;
  if (size_ > 0 && n > 0) std::memmove(data_, data_ + n, size_);
}

BufferPool::~BufferPool() {
  for (Class& c : classes_) {
    for (char* block : c.free) std::free(block);
  }
}

char* BufferPool::take(std::size_t& capacity) {
  const std::size_t block = std::bit_ceil(std::max(capacity + kPadding, kSmallest));
  const auto index = static_cast<std::size_t>(std::countr_zero(block / kSmallest));
  if (index < kClasses) {
    capacity = block - kPadding;
    Class& c = classes_[index];
    if (!c.free.empty()) {
      char* reused = c.free.back();
      c.free.pop_back();
      c.unused = std::min(c.unused, c.free.size());
      free_bytes_ -= block;
      return reused;
    }
  }
  // Large blocks are exact: a 1.1 MB body shall not cost 2 MB.
  char* fresh = static_cast<char*>(std::malloc(capacity + kPadding));
  if (fresh == nullptr) std::abort();
  return fresh;
}

void BufferPool::give(char* block, std::size_t capacity) {
  const std::size_t size = capacity + kPadding;
  if (std::has_single_bit(size) && size >= kSmallest && size <= kSmallest << (kClasses - 1) &&
      free_bytes_ + size <= kKeepBytes) {
    classes_[static_cast<std::size_t>(std::countr_zero(size / kSmallest))].free.push_back(block);
    free_bytes_ += size;
    return;
  }
  std::free(block);
}

void BufferPool::trim() {
  for (std::size_t i = 0; i < kClasses; ++i) {
    Class& c = classes_[i];
    // The first ones were given back longest ago.
    const auto end = c.free.begin() + static_cast<std::ptrdiff_t>(c.unused);
    for (auto block = c.free.begin(); block != end; ++block) std::free(*block);
    free_bytes_ -= c.unused * (kSmallest << i);
    c.free.erase(c.free.begin(), end);
    c.unused = c.free.size();
  }
}

}  // namespace tg::net
