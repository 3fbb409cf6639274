#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace contexture {

// Zero-filled memory for `T`s, aligned to a cache line (a huge page, and advised to be one, when it
// is large). Move-only; allocated once, never resized.
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
  ~AlignedBuffer() { std::free(data_); }

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

// Advises the kernel to back [data, data + bytes) with huge pages; a hint, never an error.
void AdviseHugePages(void* data, size_t bytes);

template <typename T>
AlignedBuffer<T>::AlignedBuffer(size_t size) : size_(size) {
  constexpr size_t kCacheLine = 64;
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t alignment = size * sizeof(T) >= 2 * kHugePage ? kHugePage : kCacheLine;
  const size_t bytes = (size * sizeof(T) + alignment - 1) / alignment * alignment;
  if (bytes == 0) return;
  data_ = static_cast<T*>(std::aligned_alloc(alignment, bytes));
  if (data_ == nullptr) throw std::bad_alloc();
  if (alignment == kHugePage) AdviseHugePages(data_, bytes);
  std::memset(static_cast<void*>(data_), 0, bytes);
}

}  // namespace contexture
