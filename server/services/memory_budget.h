#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"

namespace contexture {

// The bytes that the requests and answers of all calls hold. Bounded, so that many large calls are
// refused instead of ending the process. Thread safe.
class MemoryBudget {
 public:
  explicit MemoryBudget(int64_t max_bytes) : max_bytes_(max_bytes) {}
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  int64_t used() const { return used_; }
  int64_t max_bytes() const { return max_bytes_; }
  // Three quarters are used: streams should wait before they read more.
  bool crowded() const { return used_ > max_bytes_ - max_bytes_ / 4; }

 private:
  friend class MemoryLease;
  const int64_t max_bytes_;
  std::atomic<int64_t> used_{0};
};

// A call's part of the budget, given back when it ends. Not thread safe.
class MemoryLease {
 public:
  MemoryLease() = default;  // of no budget: whatever it is asked for is granted and not counted
  explicit MemoryLease(MemoryBudget& budget) : budget_(&budget) {}
  ~MemoryLease() { ShrinkTo(0); }
  MemoryLease(MemoryLease&& other) noexcept
      : budget_(other.budget_), bytes_(std::exchange(other.bytes_, 0)) {}
  MemoryLease& operator=(MemoryLease&& other) noexcept {
    if (this == &other) return *this;
    ShrinkTo(0);
    budget_ = other.budget_;
    bytes_ = std::exchange(other.bytes_, 0);
    return *this;
  }

  // RESOURCE_EXHAUSTED: all calls together would hold more than the budget, and others hold some of
  // it. A call that is alone gets what it asks for: its size is bounded elsewhere.
  absl::Status Grow(int64_t bytes);
  // The same for what is there already and cannot be refused.
  void Hold(int64_t bytes);
  // Gives back what is more than BYTES.
  void ShrinkTo(int64_t bytes);
  int64_t bytes() const { return bytes_; }

 private:
  MemoryBudget* budget_ = nullptr;
  int64_t bytes_ = 0;
};

// What a request of WIRE_BYTES holds: as it came, parsed, and its token ids.
constexpr int64_t RequestMemory(int64_t wire_bytes) { return 4 * wire_bytes; }
// What an answer of BYTES holds: as a message, and as it goes out.
constexpr int64_t AnswerMemory(int64_t bytes) { return 2 * bytes; }

}  // namespace contexture
