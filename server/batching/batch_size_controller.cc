#include "server/batching/batch_size_controller.h"

#include <algorithm>

namespace contexture {
namespace {

constexpr int kMostLate = BatchSizeController::kWindow / 100;
constexpr int kSteps = 16;  // from nothing to the largest size

}  // namespace

void BatchSizeController::Observe(absl::Duration latency) {
  if (options_.target <= absl::ZeroDuration()) return;
  ++seen_;
  if (latency > options_.target) ++late_;
  const int smallest = std::min(options_.smallest, options_.largest);
  if (late_ > kMostLate) {
    tokens_ = std::max(smallest, static_cast<int>(tokens_ * kShrink));
  } else if (seen_ < kWindow) {
    return;
  } else if (late_ <= kMostLate / 2) {
    tokens_ = std::min(options_.largest, tokens_ + std::max(1, options_.largest / kSteps));
  }
  seen_ = late_ = 0;
}

}  // namespace contexture
