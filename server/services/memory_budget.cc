#include "server/services/memory_budget.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/services/status_mapping.h"

namespace contexture {

absl::Status MemoryLease::Grow(int64_t bytes) {
  if (budget_ == nullptr) return absl::OkStatus();
  const int64_t used = budget_->used_.fetch_add(bytes) + bytes;
  if (used <= budget_->max_bytes_ || used == bytes_ + bytes) {
    bytes_ += bytes;
    return absl::OkStatus();
  }
  budget_->used_ -= bytes;
  return MakeError(
      ErrorReason::kMemoryFull,
      absl::StrFormat("the server's memory for calls is full: %d bytes are in use, the request "
                      "needs %d more and the limit is %d",
                      used - bytes, bytes, budget_->max_bytes_),
      {"",
       {{"used", absl::StrCat(used - bytes)},
        {"needed", absl::StrCat(bytes)},
        {"max", absl::StrCat(budget_->max_bytes_)}}});
}

void MemoryLease::Hold(int64_t bytes) {
  if (budget_ == nullptr) return;
  budget_->used_ += bytes;
  bytes_ += bytes;
}

void MemoryLease::ShrinkTo(int64_t bytes) {
  if (budget_ == nullptr || bytes >= bytes_) return;
  budget_->used_ -= bytes_ - bytes;
  bytes_ = bytes;
}

}  // namespace contexture
