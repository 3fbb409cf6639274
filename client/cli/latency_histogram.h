#pragma once

#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace contexture::cli {

// Counts durations in buckets that widen with their size (as HdrHistogram does), so that any
// percentile is known within 0.4 %, from nanoseconds to centuries, in 60 KB. Not thread safe.
class LatencyHistogram {
 public:
  LatencyHistogram();
  // Below zero counts as zero.
  void Record(absl::Duration duration);
  void Merge(const LatencyHistogram& other);

  uint64_t count() const { return count_; }
  // The duration that `percent` (0 to 100) of those recorded do not exceed; zero when there are
  // none.
  absl::Duration Percentile(double percent) const;
  // Exact; zero when there are none.
  absl::Duration Max() const { return max_; }

 private:
  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
  absl::Duration max_ = absl::ZeroDuration();
};

}  // namespace contexture::cli
