#include "server/services/head_scores.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "server/services/culprits.h"

namespace contexture {

std::vector<float> FloatsOf(absl::string_view output) {
  std::vector<float> values(output.size() / sizeof(float));
  std::memcpy(values.data(), output.data(), values.size() * sizeof(float));
  return values;
}

absl::StatusOr<ScoreFunction> ResolveScoreFunction(v1::ScoreFunction function,
                                                   ScoreFunction model_default) {
  switch (function) {
    case v1::SCORE_FUNCTION_UNSPECIFIED:
    case v1::SCORE_FUNCTION_MODEL_DEFAULT:
      return model_default;
    case v1::SCORE_FUNCTION_NONE:
      return ScoreFunction::kNone;
    case v1::SCORE_FUNCTION_SIGMOID:
      return ScoreFunction::kSigmoid;
    case v1::SCORE_FUNCTION_SOFTMAX:
      return ScoreFunction::kSoftmax;
    default:
      return UnknownEnumValue("score_function", function, v1::ScoreFunction_MAX);
  }
}

void ApplyScoreFunction(ScoreFunction function, absl::Span<float> values) {
  if (function == ScoreFunction::kNone || values.empty()) return;
  if (function == ScoreFunction::kSigmoid) {
    for (float& value : values) value = 1.0f / (1.0f + std::exp(-value));
    return;
  }
  const float largest = *std::max_element(values.begin(), values.end());
  float sum = 0.0f;
  for (float& value : values) sum += value = std::exp(value - largest);
  for (float& value : values) value /= sum;
}

std::vector<uint32_t> Highest(absl::Span<const float> scores, size_t count) {
  std::vector<uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  count = std::min(count, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(count), order.end(),
                    [&](uint32_t a, uint32_t b) {
                      return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
                    });
  order.resize(count);
  return order;
}

}  // namespace contexture
