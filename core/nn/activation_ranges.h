#pragma once

#include <vector>

#include "absl/types/span.h"
#include "core/nn/encoder.h"

namespace contexture::nn {

// The largest magnitude of each column of what a layer's linear layers take, over some sequences.
struct LayerRanges {
  std::vector<float> input;               // [hidden]: of query, key and value
  std::vector<float> context;             // [heads * head_size]: of the attention output
  std::vector<float> feed_forward_input;  // [hidden]
};
using ActivationRanges = std::vector<LayerRanges>;  // [num_layer_weights]

// Runs an observable encoder over each sequence, of 1 to max_length ids in range.
ActivationRanges MeasureActivationRanges(const Encoder& encoder, const EncoderConfig& config,
                                         absl::Span<const std::vector<uint32_t>> sequences);

}  // namespace contexture::nn
