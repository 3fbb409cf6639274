#pragma once

#include <array>
#include <cstdint>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace contexture {

// What the time to compute a batch depends on.
struct BatchSize {
  int64_t tokens = 0;   // linear layers
  int64_t squares = 0;  // sum of the squared lengths of its sequences: attention
};

struct CostSample {
  BatchSize size;
  absl::Duration time = absl::ZeroDuration();
};

// Learns while serving how long a model takes to compute on this machine:
//
//   time = fixed + per_token * tokens + per_square * squares
//
// by least squares over the batches so far, each counting a hundredth less with every later one.
// What the load does not show, such as the cost of long sequences while all are short, is held to
// the proportions of the batches measured at start (ridge regression: Hoerl, Kennard 1970).
// Robust: a sample that is far off, such as a batch whose thread was descheduled, counts no more
// than usual errors do, and a lasting change is followed within some tens of batches. Coefficients
// are never negative. Pure; not thread safe.
class CostModel {
 public:
  // SAMPLES are measured at start; may be empty.
  explicit CostModel(absl::Span<const CostSample> samples = {});

  // Samples without tokens or time are ignored.
  void Observe(const CostSample& sample);
  // Zero until something has been observed: what is not known delays nobody.
  absl::Duration Predict(const BatchSize& size) const;
  // The mean relative error of the predictions lately, at most 1.
  double uncertainty() const { return uncertainty_; }
  // What SIZE adds to batches of FULL_BATCH_TOKENS: its part of the fixed time and its own.
  absl::Duration PredictPart(const BatchSize& size, int64_t full_batch_tokens) const;

 private:
  static constexpr int kFeatures = 3;  // 1, tokens, squares; scaled to about 1
  using Vector = std::array<double, kFeatures>;
  using Matrix = std::array<Vector, kFeatures>;
  static Vector Features(const BatchSize& size);

  // Adds up a sample, after letting those before it fade to REMAINING.
  void Add(const Vector& features, double seconds, double remaining);
  // Cuts ERROR to what is usual and learns what is.
  double Robust(double error);
  // The coefficients that fit what was added up; PRIOR holds where that says little.
  Vector Fit(const Vector& prior, double ridge) const;

  Matrix products_ = {};  // sum of features * features^T
  Vector moments_ = {};   // sum of features * seconds
  Vector start_ = {};     // coefficients of the start
  double speed_ = 1.0;    // how much longer batches take now than start_ says
  Vector coefficients_ = {};
  double usual_error_ = 0;  // mean absolute error, seconds
  double uncertainty_ = 0;
  int64_t samples_ = 0;
};

}  // namespace contexture
