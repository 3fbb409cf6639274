#include "server/batching/cost_model.h"

#include <algorithm>
#include <cmath>

namespace contexture {
namespace {

// Sizes of usual batches, so that the features have the same magnitude.
constexpr double kTokenScale = 256.0;
constexpr double kSquareScale = 128.0 * 256.0;

// The weight of a sample falls to a third in 100 batches: seconds on a busy server.
constexpr double kForgetting = 0.99;
// The start's proportions count as this many samples of size 1; next to nothing when they are
// themselves determined.
constexpr double kRidge = 1.0, kStartRidge = 1e-6;

// An error counts as at most this many usual ones, once enough are known to say what is usual.
constexpr double kMostUsualErrors = 4.0;
constexpr int64_t kSamplesToTrust = 12;
constexpr double kErrorMemory = 0.95;
constexpr double kSpeedMemory = 0.9;

template <typename Vector>
double Dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// Solves A x = b for symmetric positive definite A by Gaussian elimination.
template <typename Matrix, typename Vector>
Vector Solve(Matrix a, Vector b) {
  const size_t n = b.size();
  for (size_t i = 0; i < n; ++i) {
    for (size_t row = i + 1; row < n; ++row) {
      const double factor = a[row][i] / a[i][i];
      for (size_t k = i; k < n; ++k) a[row][k] -= factor * a[i][k];
      b[row] -= factor * b[i];
    }
  }
  for (size_t i = n; i-- > 0;) {
    for (size_t k = i + 1; k < n; ++k) b[i] -= a[i][k] * b[k];
    b[i] /= a[i][i];
  }
  return b;
}

}  // namespace

CostModel::Vector CostModel::Features(const BatchSize& size) {
  return {1.0, static_cast<double>(size.tokens) / kTokenScale,
          static_cast<double>(size.squares) / kSquareScale};
}

CostModel::CostModel(absl::Span<const CostSample> samples) {
  for (const CostSample& sample : samples) {
    if (sample.size.tokens <= 0) continue;
    Add(Features(sample.size), absl::ToDoubleSeconds(sample.time), /*remaining=*/1.0);
  }
  start_ = coefficients_ = Fit({}, kStartRidge);
}

void CostModel::Add(const Vector& features, double seconds, double remaining) {
  for (int i = 0; i < kFeatures; ++i) {
    for (int k = 0; k < kFeatures; ++k) {
      products_[i][k] = remaining * products_[i][k] + features[i] * features[k];
    }
    moments_[i] = remaining * moments_[i] + features[i] * seconds;
  }
}

void CostModel::Observe(const CostSample& sample) {
  if (sample.size.tokens <= 0 || sample.time <= absl::ZeroDuration()) return;
  const Vector features = Features(sample.size);
  const double predicted = Dot(features, coefficients_), at_start = Dot(features, start_);
  const double actual = absl::ToDoubleSeconds(sample.time);
  const double seconds = predicted + Robust(actual - predicted);
  if (predicted > 0) {
    uncertainty_ = kErrorMemory * uncertainty_ +
                   (1 - kErrorMemory) * std::min(1.0, std::abs(actual - predicted) / predicted);
  }
  if (at_start > 0) {
    speed_ = kSpeedMemory * speed_ + (1 - kSpeedMemory) * std::max(0.0, seconds / at_start);
  }
  Add(features, seconds, kForgetting);
  Vector prior = start_;
  for (double& coefficient : prior) coefficient *= speed_;
  coefficients_ = Fit(prior, kRidge);
  ++samples_;
}

double CostModel::Robust(double error) {
  const double most = kMostUsualErrors * usual_error_;
  if (samples_ >= kSamplesToTrust) error = std::clamp(error, -most, most);
  const double memory = samples_ < kSamplesToTrust ? 0.5 : kErrorMemory;
  usual_error_ = memory * usual_error_ + (1.0 - memory) * std::abs(error);
  // Never nothing, or a model that was perfect for a while could not learn any more.
  usual_error_ = std::max(usual_error_, 1e-6);
  return error;
}

CostModel::Vector CostModel::Fit(const Vector& prior, double ridge) const {
  std::array<bool, kFeatures> held_at_zero = {};
  while (true) {
    Matrix a = products_;
    Vector b = moments_;
    for (int i = 0; i < kFeatures; ++i) {
      a[i][i] += ridge;
      b[i] += ridge * prior[i];
    }
    for (int i = 0; i < kFeatures; ++i) {
      if (!held_at_zero[i]) continue;
      for (int k = 0; k < kFeatures; ++k) a[i][k] = a[k][i] = 0;
      a[i][i] = 1;
      b[i] = 0;
    }
    const Vector fit = Solve(a, b);
    // A time is not negative: the least coefficient is held at zero and the others are fitted anew.
    const auto least = std::min_element(fit.begin(), fit.end());
    if (*least >= 0) return fit;
    held_at_zero[least - fit.begin()] = true;
  }
}

absl::Duration CostModel::Predict(const BatchSize& size) const {
  return absl::Seconds(Dot(Features(size), coefficients_));
}

absl::Duration CostModel::PredictPart(const BatchSize& size, int64_t full_batch_tokens) const {
  Vector features = Features(size);
  features[0] = static_cast<double>(size.tokens) /
                static_cast<double>(std::max<int64_t>(1, full_batch_tokens));
  return absl::Seconds(Dot(features, coefficients_));
}

}  // namespace contexture
