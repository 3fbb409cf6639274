#pragma once

#include "absl/time/time.h"

namespace contexture {

// Chooses the size of batches so that 99 of 100 interactive requests are done within a target: the
// smaller a batch, the sooner a worker is free for what arrives, and the more often the weights are
// read. Multiplies the size by kShrink as soon as more than 1 in 100 was late, and adds a part of
// the largest after kWindow requests of which hardly any was (additive increase, multiplicative
// decrease: Chiu, Jain 1989). Pure; not thread safe.
class BatchSizeController {
 public:
  struct Options {
    absl::Duration target = absl::ZeroDuration();  // zero: the size is always the largest
    int smallest = 32;
    int largest = 512;  // tokens
  };
  static constexpr int kWindow = 300;
  static constexpr double kShrink = 0.75;

  explicit BatchSizeController(const Options& options)
      : options_(options), tokens_(options.largest) {}

  int tokens() const { return tokens_; }
  // An interactive request was done LATENCY after it was scheduled.
  void Observe(absl::Duration latency);

 private:
  const Options options_;
  int tokens_;
  int seen_ = 0, late_ = 0;  // in this window
};

}  // namespace contexture
