#include "core/base/aligned_buffer.h"

#include <sys/mman.h>

namespace contexture {

void AdviseHugePages(void* data, size_t bytes) { (void)madvise(data, bytes, MADV_HUGEPAGE); }

}  // namespace contexture
