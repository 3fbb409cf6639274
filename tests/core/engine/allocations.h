#pragma once

#include <cstddef>

namespace contexture::test_support {

// How often this program has called operator new, on all threads: allocations.cc replaces it.
size_t NumAllocations();

}  // namespace contexture::test_support
