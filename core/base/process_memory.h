#pragma once

#include <cstddef>

namespace contexture {

// Bytes of this process that are in memory now; 0 where the kernel does not say.
size_t ResidentBytes();

// Gives memory that was freed back to the kernel, which the allocator else keeps for later. Takes
// milliseconds: for moments at which much has been freed and little is to come. Thread safe.
void ReleaseFreedMemory();

}  // namespace contexture
