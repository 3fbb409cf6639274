#pragma once

#include <vector>

#include "core/base/aligned_buffer.h"
#include "core/tensor/tensor_view.h"

namespace contexture {

// The weights of an encoder as views into the file that holds them, bound once by name and shape.
// Absent parts have a null `data`; an absent bias is zero, an absent norm is none. Data types: F32,
// F16 and BF16; whoever packs them widens them.

struct LinearWeights {
  TensorView weight;  // [out, in]
  TensorView bias;    // [out]
};

struct NormWeights {
  TensorView weight;  // [size]
  TensorView bias;    // [size]
};

struct LayerWeights {
  LinearWeights query;                // [heads * head_size, hidden]
  LinearWeights key, value;           // [key-value heads * head_size, hidden]
  LinearWeights position_key;         // [heads * head_size, hidden]; DisentangledConfig
  LinearWeights position_query;       // likewise
  NormWeights query_norm;             // [head_size]
  NormWeights key_norm;               // [head_size]
  LinearWeights attention_output;     // [hidden, heads * head_size]
  NormWeights attention_norm;         // kPost: of the sum; else of the sublayer's input
  NormWeights attention_output_norm;  // kSandwich: of what the sublayer returns
  LinearWeights gate;                 // [intermediate, hidden]; only where gated
  LinearWeights up;                   // [intermediate, hidden]
  LinearWeights down;                 // [hidden, intermediate]
  NormWeights output_norm;            // of the feed-forward, as attention_norm
  NormWeights feed_forward_output_norm;
};

struct HeadWeights {
  LinearWeights dense;   // [dense_size, hidden]
  NormWeights norm;      // [dense_size or hidden]
  LinearWeights output;  // [num_outputs, dense_size or hidden]
};

struct DecoderLayerWeights {
  LayerWeights self;           // attention to the target, and the feed-forward
  LinearWeights cross_query;   // [heads * head_size, hidden]; of the target
  LinearWeights cross_key;     // likewise; of the encoder's output
  LinearWeights cross_value;   // likewise
  LinearWeights cross_output;  // [hidden, heads * head_size]
  NormWeights cross_norm;      // as LayerWeights::attention_norm
};

struct DecoderWeights {
  TensorView token_embedding;               // [target vocabulary, embedding]
  std::vector<DecoderLayerWeights> layers;  // [DecoderConfig::num_layers]
  NormWeights final_norm;
};

struct EncoderWeights {
  TensorView token_embedding;     // [vocabulary, embedding]
  TensorView position_embedding;  // [offset + num_positions, embedding], or kSparseLearned's + 1
  TensorView type_embedding;      // [type_vocabulary, embedding]
  NormWeights embedding_norm;     // [embedding]
  LinearWeights embedding_projection;  // [hidden, embedding]
  TensorView relative_bias;            // [buckets, heads]
  TensorView relative_embedding;       // [DisentangledConfig::num_rows, hidden]
  NormWeights relative_embedding_norm;
  LinearWeights convolution;  // the weight is [hidden, hidden / groups, ConvolutionConfig::size]
  NormWeights convolution_norm;
  std::vector<LayerWeights> layers;  // [num_layer_weights]
  NormWeights final_norm;
  DecoderWeights decoder;          // empty without decoder layers
  std::vector<HeadWeights> heads;  // of EncoderConfig::heads
  // What a file holds in another order (a transposed matrix), rearranged; views lead there.
  std::vector<AlignedBuffer<char>> rearranged;
};

}  // namespace contexture
