#pragma once

#include <cstddef>

namespace contexture {

// Uninitialised memory that begins at a cache line, for what is allocated at load. From 256 KiB on
// it lies on huge pages where the kernel grants them: matrices of a model are read in turn and
// would miss the TLB at every 4 KiB. Buffers below 4 MiB share slabs, so that each need not round
// up to huge pages of its own; what is freed in a slab is used again, and a slab is freed with its
// last buffer. Null for 0 bytes. Throws std::bad_alloc. Thread safe.
void* AllocateAligned(size_t bytes);

// DATA of AllocateAligned(BYTES), or null.
void FreeAligned(void* data, size_t bytes);

}  // namespace contexture
