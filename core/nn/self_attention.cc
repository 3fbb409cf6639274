#include "core/nn/self_attention.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "core/nn/kernel_types.h"

namespace contexture::nn {
namespace {

absl::Status CheckShapes(const SelfAttentionOptions& options, const LinearWeights& weights) {
  const int64_t hidden = options.hidden_size;
  if (options.num_heads < 1 || hidden < 1 || hidden % options.num_heads != 0) {
    return absl::InvalidArgumentError(absl::StrCat("the hidden size ", hidden,
                                                   " is not divisible by the number of heads ",
                                                   options.num_heads));
  }
  const auto check = [](const TensorView& view, absl::InlinedVector<int64_t, 4> shape,
                        const char* what) {
    if (view.shape == shape) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("the ", what, " has shape [",
                                                   absl::StrJoin(view.shape, ", "), "], expected [",
                                                   absl::StrJoin(shape, ", "), "]"));
  };
  CTX_RETURN_IF_ERROR(check(weights.weight, {3 * hidden, hidden}, "weight"));
  return weights.bias.present() ? check(weights.bias, {3 * hidden}, "bias") : absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<SelfAttention>> SelfAttention::Create(
    const SelfAttentionOptions& options, const LinearWeights& weights) {
  CTX_RETURN_IF_ERROR(CheckShapes(options, weights));
  std::unique_ptr<SelfAttention> attention(new SelfAttention(options));
  const int hidden = options.hidden_size;
  CTX_ASSIGN_OR_RETURN(attention->query_key_value_,
                       kernels::MakeLinear(options.backend,
                                           {.in_features = hidden,
                                            .out_features = 3 * hidden,
                                            .input_stride = hidden,
                                            .output_stride = 3 * hidden,
                                            .epilogue = kernels::Epilogue::kBias,
                                            .isa = options.isa},
                                           {ToPart(weights)}));
  return attention;
}

SelfAttention::Buffers SelfAttention::NewBuffers(int max_length) const {
  const int head_size = options_.hidden_size / options_.num_heads;
  return {AlignedBuffer<float>(static_cast<size_t>(max_length) * 3 * options_.hidden_size),
          AlignedBuffer<float>(kernels::AttentionScratchFloats(max_length, head_size))};
}

void SelfAttention::Run(const float* input, int length, int block, Buffers& buffers,
                        float* output) const {
  float* rows = buffers.query_key_value.data();
  query_key_value_->Run(input, length, rows);
  const int hidden = options_.hidden_size, head_size = hidden / options_.num_heads;
  for (int head = 0; head < options_.num_heads; ++head) {
    const float* heads = rows + static_cast<size_t>(head) * head_size;
    for (int first = 0; first < length; first += block) {
      const size_t row = first;
      kernels_.attention({.query = heads + row * 3 * hidden,
                          .key = heads + hidden,
                          .value = heads + 2 * hidden,
                          .context = output + row * hidden + head * head_size,
                          .query_length = std::min(block, length - first),
                          .key_length = length,
                          .head_size = head_size,
                          .stride = 3 * hidden,
                          .context_stride = hidden,
                          .scale = 1.0f / std::sqrt(static_cast<float>(head_size)),
                          .causal = false,
                          .scratch = buffers.scratch.data()});
    }
  }
}

}  // namespace contexture::nn
