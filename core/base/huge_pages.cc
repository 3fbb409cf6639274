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
bool InSlab([[maybe_unused]] size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  return false;
#else
  return bytes >= kSmallestInSlab && bytes < kSmallestAlone;
#endif
}

// A slab and the gaps between its buffers.
class Slab {
 public:
  explicit Slab(char* data) : gaps_({{data, kSlabBytes}}) {}

  // From the first gap that is large enough, or null.
  char* Take(size_t bytes) {
    for (auto gap = gaps_.begin(); gap != gaps_.end(); ++gap) {
      const auto [data, size] = *gap;
      if (size < bytes) continue;
      gaps_.erase(gap);
      if (size > bytes) gaps_.emplace(data + bytes, size - bytes);
      return data;
    }
    return nullptr;
  }

  // Joins what is freed with the gaps around it.
  void Give(char* data, size_t bytes) {
    auto gap = gaps_.emplace(data, bytes).first;
    const auto next = std::next(gap);
    if (next != gaps_.end() && gap->first + gap->second == next->first) {
      gap->second += next->second;
      gaps_.erase(next);
    }
    if (gap == gaps_.begin()) return;
    const auto before = std::prev(gap);
    if (before->first + before->second != gap->first) return;
    before->second += gap->second;
    gaps_.erase(gap);
  }

  bool empty() const { return gaps_.size() == 1 && gaps_.begin()->second == kSlabBytes; }

 private:
  std::map<char*, size_t> gaps_;  // bytes, by address
};

class Slabs {
 public:
  void* Allocate(size_t bytes) {
    bytes = RoundUp(bytes, kCacheLine);
    absl::MutexLock lock(&mutex_);
    for (auto& [base, slab] : slabs_) {
      if (char* data = slab.Take(bytes); data != nullptr) return data;
    }
    auto* base = static_cast<char*>(AllocateHugePages(kSlabBytes));
    return slabs_.try_emplace(base, base).first->second.Take(bytes);
  }

  void Free(char* data, size_t bytes) {
    absl::MutexLock lock(&mutex_);
    const auto found = std::prev(slabs_.upper_bound(data));
    found->second.Give(data, RoundUp(bytes, kCacheLine));
    if (!found->second.empty()) return;
    std::free(found->first);
    slabs_.erase(found);
  }

 private:
  absl::Mutex mutex_;
  std::map<char*, Slab> slabs_ ABSL_GUARDED_BY(mutex_);  // by address
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
