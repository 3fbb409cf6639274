#include "core/base/process_memory.h"

#include <unistd.h>

#include <fstream>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace contexture {

size_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");  // pages: of addresses, resident, ...
  size_t addresses = 0, resident = 0;
  statm >> addresses >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

void ReleaseFreedMemory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

}  // namespace contexture
