#include "core/engine/top_predictions.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace contexture {

void TopPredictions::Reset(int k) {
  k_ = k;
  largest_ = -std::numeric_limits<float>::infinity();
  sum_ = 0.0;
  finite_ = true;
  best_.clear();
}

void TopPredictions::Add(uint32_t begin, absl::Span<const float> logits) {
  float largest = largest_;
  for (float logit : logits) {
    finite_ = finite_ && std::isfinite(logit);
    largest = std::max(largest, logit);
  }
  if (!finite_) return;
  // The sum so far was of differences to the largest logit until now.
  if (largest > largest_) sum_ *= std::exp(double{largest_} - double{largest});
  largest_ = largest;
  for (size_t i = 0; i < logits.size(); ++i) {
    sum_ += std::exp(logits[i] - largest);
    const bool full = best_.size() == static_cast<size_t>(k_);
    if (!full || logits[i] > best_.back().score)
      Insert(begin + static_cast<uint32_t>(i), logits[i]);
  }
}

void TopPredictions::Insert(uint32_t token, float logit) {
  const auto place =
      std::upper_bound(best_.begin(), best_.end(), logit,
                       [](float value, const Prediction& other) { return value > other.score; });
  best_.insert(place, {token, logit});
  if (best_.size() > static_cast<size_t>(k_)) best_.pop_back();
}

absl::Span<const Prediction> TopPredictions::Finish() {
  for (Prediction& prediction : best_) {
    prediction.score =
        static_cast<float>(std::exp(double{prediction.score} - double{largest_}) / sum_);
  }
  return best_;
}

}  // namespace contexture
