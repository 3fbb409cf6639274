#include "core/nn/norm.h"

#include "core/nn/tensor_copy.h"

namespace contexture::nn {

Norm::Norm(const NormWeights& weights, float offset)
    : gamma(CopyTensor(weights.weight)), beta(CopyTensor(weights.bias)) {
  for (size_t i = 0; i < gamma.size(); ++i) gamma[i] += offset;
  if (beta.size() != gamma.size()) beta = AlignedBuffer<float>(gamma.size());
}

}  // namespace contexture::nn
