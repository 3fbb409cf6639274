#include "core/base/huge_pages.h"

#include <sys/mman.h>

#include <cstdlib>
#include <iterator>
#include <map>
#include <new>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace contexture {
namespace {

constexpr size_t kCacheLine = 64;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kSlabBytes = 8 * kHugePage;
constexpr size_t kSmallestInSlab = size_t{256} << 10;
constexpr size_t kSmallestAlone = 2 * kHugePage;

size_t RoundUp(size_t bytes, size_t step) { return (bytes + step - 1) / step * step; }

void* AllocateOrThrow(size_t bytes, size_t alignment) {
  void* data = std::aligned_alloc(alignment, RoundUp(bytes, alignment));
  if (data == nullptr) throw std::bad_alloc();
  return data;
}

// The advice is a hint: a kernel without huge pages refuses it.
void* AllocateHugePages(size_t bytes) {
  void* data = AllocateOrThrow(bytes, kHugePage);
  (void)madvise(data, RoundUp(bytes, kHugePage), MADV_HUGEPAGE);
  return data;
}

// AddressSanitizer sees the ends of buffers that it allocates itself.
bool InSlab(size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  return false;
#else
  return bytes >= kSmallestInSlab && bytes < kSmallestAlone;
#endif
}

class Slabs {
 public:
  void* Allocate(size_t bytes) {
    const size_t wanted = RoundUp(bytes, kCacheLine);
    absl::MutexLock lock(&mutex_);
    if (newest_ == nullptr || kSlabBytes - slabs_[newest_].used < wanted) {
      newest_ = static_cast<char*>(AllocateHugePages(kSlabBytes));
      slabs_.try_emplace(newest_);
    }
    Slab& slab = slabs_[newest_];
    char* data = newest_ + slab.used;
    slab.used += wanted;
    ++slab.buffers;
    return data;
  }

  void Free(char* data, size_t bytes) {
    absl::MutexLock lock(&mutex_);
    const auto found = std::prev(slabs_.upper_bound(data));
    auto& [base, slab] = *found;
    // Temporary buffers come and go at the end.
    if (data + RoundUp(bytes, kCacheLine) == base + slab.used) slab.used = data - base;
    if (--slab.buffers != 0) return;
    if (base == newest_) newest_ = nullptr;
    std::free(base);
    slabs_.erase(found);
  }

 private:
  struct Slab {
    size_t used = 0;  // bytes from the beginning that were handed out
    int buffers = 0;  // of these, not yet freed
  };
  absl::Mutex mutex_;
  std::map<char*, Slab> slabs_ ABSL_GUARDED_BY(mutex_);  // by address
  char* newest_ ABSL_GUARDED_BY(mutex_) = nullptr;       // hands out its rest
};

Slabs& SharedSlabs() {
  static Slabs* slabs = new Slabs;
  return *slabs;
}

}  // namespace

void* AllocateAligned(size_t bytes) {
  if (bytes == 0) return nullptr;
  if (InSlab(bytes)) return SharedSlabs().Allocate(bytes);
  return bytes < kSmallestAlone ? AllocateOrThrow(bytes, kCacheLine) : AllocateHugePages(bytes);
}

void FreeAligned(void* data, size_t bytes) {
  if (data == nullptr) return;
  if (InSlab(bytes)) return SharedSlabs().Free(static_cast<char*>(data), bytes);
  std::free(data);
}

}  // namespace contexture
