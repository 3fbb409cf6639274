#pragma once

#include <cstdint>
#include <memory>

#include "server/batching/batcher.h"

namespace contexture {

// Puts before BATCHER what computes equal tasks once. A task whose model, ids, type ids and outputs
// are those of one that waits or runs gets a copy of its results (single flight), unless that one
// is less urgent: of a later deadline or a lower class. With CACHE_BYTES > 0 results are kept, at
// most so many bytes, and given to later tasks at once. Only Task::shareable ones take part. When
// the task that others joined leaves (cancelled, expired), the most urgent of them takes its place
// and is not refused. Results are copies of the same bits that computing again would give.
std::unique_ptr<Batcher> NewSharingBatcher(std::unique_ptr<Batcher> batcher, int64_t cache_bytes,
                                           BatcherMetrics& metrics);

}  // namespace contexture
