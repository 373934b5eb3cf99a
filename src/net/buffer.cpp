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
  for (auto& list : free_) {
    for (char* block : list) std::free(block);
  }
}

char* BufferPool::take(std::size_t& capacity) {
  const std::size_t block = std::bit_ceil(std::max(capacity + kPadding, kSmallest));
  const auto index = static_cast<std::size_t>(std::countr_zero(block / kSmallest));
  if (index < kClasses) {
    capacity = block - kPadding;
    if (!free_[index].empty()) {
      char* reused = free_[index].back();
      free_[index].pop_back();
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
  if (std::has_single_bit(size) && size >= kSmallest && size <= kSmallest << (kClasses - 1)) {
    const auto index = static_cast<std::size_t>(std::countr_zero(size / kSmallest));
    if (free_[index].size() < kKeepBytes / size) {
      free_[index].push_back(block);
      return;
    }
  }
  std::free(block);
}

void BufferPool::trim() {
  for (std::size_t i = 0; i < kClasses; ++i) {
    const std::size_t keep = std::max<std::size_t>(1, kKeepBytes / (kSmallest << i) / 8);
    while (free_[i].size() > keep) {
      std::free(free_[i].back());
      free_[i].pop_back();
    }
  }
}

}  // namespace tg::net
