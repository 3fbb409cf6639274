#pragma once

#include <new>

#include "absl/status/status.h"

namespace contexture {

// What FUNCTION returns; RESOURCE_EXHAUSTED when memory ran out in it, INTERNAL when anything else
// was thrown. No text of an exception: it may name our insides, and the status goes to a caller.
template <typename Function>
absl::Status WithoutExceptions(Function function) {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory");
  } catch (...) {
    return absl::InternalError("an exception was thrown");
  }
}

}  // namespace contexture
