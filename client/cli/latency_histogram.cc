#include "client/cli/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace contexture::cli {
namespace {

// Values of one power of two share so many buckets; smaller values have one each.
constexpr int kBits = 7;
constexpr uint64_t kPerOctave = uint64_t{1} << kBits;
constexpr size_t kBuckets = (64 - kBits) * kPerOctave + kPerOctave;

size_t BucketOf(uint64_t value) {
  const int shift = std::max(0, static_cast<int>(std::bit_width(value)) - kBits - 1);
  return shift * kPerOctave + (value >> shift);
}

uint64_t MiddleOf(size_t bucket) {
  const int shift = bucket < 2 * kPerOctave ? 0 : static_cast<int>(bucket / kPerOctave) - 1;
  const uint64_t width = uint64_t{1} << shift;
  return ((bucket - shift * kPerOctave) << shift) + width / 2;
}

}  // namespace

LatencyHistogram::LatencyHistogram() : buckets_(kBuckets) {}

void LatencyHistogram::Record(absl::Duration duration) {
  duration = std::max(duration, absl::ZeroDuration());
  ++buckets_[BucketOf(static_cast<uint64_t>(absl::ToInt64Nanoseconds(duration)))];
  ++count_;
  max_ = std::max(max_, duration);
}

void LatencyHistogram::Merge(const LatencyHistogram& other) {
  for (size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

absl::Duration LatencyHistogram::Percentile(double percent) const {
  if (count_ == 0) return absl::ZeroDuration();
  const double wanted = std::ceil(percent / 100 * static_cast<double>(count_));
  const auto rank = std::clamp<uint64_t>(static_cast<uint64_t>(wanted), 1, count_);
  if (rank == count_) return max_;
  uint64_t seen = 0;
  size_t bucket = 0;
  while ((seen += buckets_[bucket]) < rank) ++bucket;
  return std::min(absl::Nanoseconds(static_cast<int64_t>(MiddleOf(bucket))), max_);
}

}  // namespace contexture::cli
