// Memory for objects of one type that come and go by the thousand on one thread: what a dead object leaves is
// kept for the next one, up to a bound, so that the allocator is not asked each time. Objects must be
// destroyed before the pool.
#pragma once

#include <cstddef>
#include <new>
#include <utility>
#include <vector>

namespace tg {

template <class T>
class ObjectPool {
 public:
  // `keep`: pieces of memory that wait for a next object at most.
  explicit ObjectPool(std::size_t keep) : keep_(keep) {}
  ~ObjectPool() {
    for (void* memory : free_) release(memory);
  }
  ObjectPool(const ObjectPool&) = delete;
  ObjectPool& operator=(const ObjectPool&) = delete;

  // T's constructor must not throw.
  template <class... Args>
  T* make(Args&&... args) {
    void* memory = nullptr;
    if (free_.empty()) {
      memory = ::operator new(sizeof(T), std::align_val_t(alignof(T)));
    } else {
      memory = free_.back();
      free_.pop_back();
    }
    return ::new (memory) T(std::forward<Args>(args)...);
  }
  void destroy(T* object) {
    object->~T();
    if (free_.size() < keep_) {
      free_.push_back(object);
    } else {
      release(object);
    }
  }

 private:
  static void release(void* memory) { ::operator delete(memory, std::align_val_t(alignof(T))); }
  std::size_t keep_;
  std::vector<void*> free_;
};

}  // namespace tg
