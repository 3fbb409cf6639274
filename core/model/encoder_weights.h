#pragma once

#include <vector>

#include "core/tensor/tensor_view.h"

namespace contexture {

// The weights of an encoder as views into the file that holds them, bound once by name and shape.
// Absent parts have a null `data`; an absent bias is zero. Data types: F32 (F16 and BF16 come with
// the families that use them).

struct LinearWeights {
  TensorView weight;  // [out, in]
  TensorView bias;    // [out]
};

struct NormWeights {
  TensorView weight;  // [hidden]
  TensorView bias;    // [hidden]
};

struct LayerWeights {
  LinearWeights query, key, value;  // [heads * head_size, hidden]
  LinearWeights attention_output;   // [hidden, heads * head_size]
  NormWeights attention_norm;
  LinearWeights up;    // [intermediate, hidden]
  LinearWeights down;  // [hidden, intermediate]
  NormWeights output_norm;
};

struct EncoderWeights {
  TensorView token_embedding;     // [vocabulary, hidden]
  TensorView position_embedding;  // [offset + num_positions, hidden], or kSparseLearned's + 1
  TensorView type_embedding;      // [type_vocabulary, hidden]
  NormWeights embedding_norm;
  std::vector<LayerWeights> layers;
  NormWeights final_norm;
};

}  // namespace contexture
