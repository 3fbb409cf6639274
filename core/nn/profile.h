#pragma once

#include <array>
#include <chrono>
#include <cstdint>

namespace contexture::nn {

// Where the time of a forward pass goes.
enum class Part {
  kEmbedding,
  kQueryKeyValue,
  kAttention,
  kAttentionOutput,
  kNorm,
  kFeedForwardUp,
  kFeedForwardDown,
};
inline constexpr std::array<const char*, 7> kPartNames = {
    "embedding", "query_key_value", "attention",        "attention_output",
    "norm",      "feed_forward_up", "feed_forward_down"};

// Nanoseconds per part, added up. Not thread safe: one per workspace.
struct Profile {
  std::array<int64_t, kPartNames.size()> nanoseconds{};
};

// Adds the time of its scope to a part; with a null profile it costs one comparison.
class PartTimer {
 public:
  PartTimer(Profile* profile, Part part) : profile_(profile), part_(part) {
    if (profile_ != nullptr) start_ = std::chrono::steady_clock::now();
  }
  ~PartTimer() {
    if (profile_ == nullptr) return;
    const std::chrono::nanoseconds elapsed = std::chrono::steady_clock::now() - start_;
    profile_->nanoseconds[static_cast<int>(part_)] += elapsed.count();
  }
  PartTimer(const PartTimer&) = delete;
  PartTimer& operator=(const PartTimer&) = delete;

 private:
  Profile* const profile_;
  const Part part_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace contexture::nn
