#pragma once

#include <cstddef>
#include <cstring>
#include <utility>

#include "core/base/huge_pages.h"

namespace contexture {

// Zero-filled memory for `T`s, aligned to a cache line and on huge pages when it is large.
// Move-only; allocated once, never resized. Throws std::bad_alloc.
template <typename T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t size);
  AlignedBuffer(AlignedBuffer&& other) noexcept { *this = std::move(other); }
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~AlignedBuffer() { FreeAligned(data_, bytes()); }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  size_t bytes() const { return size_ * sizeof(T); }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

template <typename T>
AlignedBuffer<T>::AlignedBuffer(size_t size)
    : data_(static_cast<T*>(AllocateAligned(size * sizeof(T)))), size_(size) {
  if (size != 0) std::memset(static_cast<void*>(data_), 0, bytes());
}

}  // namespace contexture
