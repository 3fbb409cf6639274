#pragma once

#include <vector>

namespace contexture {

// The largest magnitude of each column of what a layer's linear layers take, over some sequences.
struct LayerRanges {
  std::vector<float> input;               // [hidden]: of query, key and value
  std::vector<float> context;             // [heads * head_size]: of the attention output
  std::vector<float> feed_forward_input;  // [hidden]

  friend bool operator==(const LayerRanges&, const LayerRanges&) = default;
};
using ActivationRanges = std::vector<LayerRanges>;  // [num_layer_weights]

}  // namespace contexture
