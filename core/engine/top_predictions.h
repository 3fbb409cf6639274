#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace contexture {

// A token of the vocabulary and its probability, as an output of predictions holds them.
struct Prediction {
  uint32_t token = 0;
  float score = 0.0f;
};

// The k most probable of the outcomes whose logits come in pieces, with their softmax
// probabilities. Equal logits stand in the order of their indices. Not thread safe.
class TopPredictions {
 public:
  // The largest k; allocated once.
  static constexpr int kMax = 1000;

  TopPredictions() { best_.reserve(kMax + 1); }
  // Starts anew; K in 1 .. kMax.
  void Reset(int k);
  // The logits of outcomes BEGIN, BEGIN + 1, ...; pieces come in ascending order.
  void Add(uint32_t begin, absl::Span<const float> logits);
  // The best, as many as k and the outcomes allow, the most probable first.
  absl::Span<const Prediction> Finish();
  // Whether all logits since Reset were finite; valid after Finish.
  bool finite() const { return finite_; }

 private:
  void Insert(uint32_t token, float logit);

  int k_ = 1;
  float largest_ = 0.0f;
  double sum_ = 0.0;  // of exp(logit - largest_)
  bool finite_ = true;
  std::vector<Prediction> best_;  // logits until Finish, descending
};

}  // namespace contexture
