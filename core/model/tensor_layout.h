#pragma once

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/model/head_layout.h"

namespace contexture {

// How a family calls its tensors. Of the name of a linear layer or norm, ".weight" and ".bias" are
// left out ("weight" and "bias" when it ends with '_'). Empty: it has no such tensor, or a stacked
// one holds it. In layer names '#' is the number of the layer.
struct LayerNames {
  absl::string_view prefix = "";  // before all that follows: "encoder.layer.#."
  absl::string_view query = "", key = "", value = "";
  absl::string_view query_key_value = "";  // the three, one below another
  // Not empty: full names of the only biases that query_key_value has, which holds the three of one
  // head below one another, head by head.
  absl::string_view query_bias = "", value_bias = "";
  absl::string_view position_key = "", position_query = "";
  absl::string_view query_norm = "", key_norm = "";
  absl::string_view attention_output = "";
  absl::string_view attention_norm = "";
  absl::string_view attention_output_norm = "";
  absl::string_view gate = "", up = "";
  absl::string_view gate_up = "";  // the gate above the other
  absl::string_view up_gate = "";  // the gate below the other
  absl::string_view down = "";
  absl::string_view output_norm = "";
  absl::string_view feed_forward_output_norm = "";
};

// The decoder's tensors. The layers' self-attention and feed-forward are called as LayerNames says.
struct DecoderNames {
  absl::string_view token_embedding = "";
  LayerNames layer = {};
  absl::string_view cross_query_key_value = "";  // the three, one below another
  absl::string_view cross_output = "";
  absl::string_view cross_norm = "";
  absl::string_view final_norm = "";
};

struct TensorLayout {
  absl::string_view anchor = "";           // the tensor whose presence tells layout and prefix
  absl::string_view token_embedding = "";  // full names, with ".weight"
  absl::string_view position_embedding = "";
  absl::string_view type_embedding = "";
  absl::string_view relative_bias = "";
  absl::string_view relative_embedding = "";
  absl::string_view relative_embedding_norm = "";
  absl::string_view convolution = "";
  absl::string_view convolution_norm = "";
  absl::string_view embedding_norm = "";
  absl::string_view embedding_projection = "";
  absl::string_view final_norm = "";
  LayerNames layer = {};
  DecoderNames decoder = {};
  bool transposed = false;  // the layers' matrices are stored as [in, out]
};

// The tensors of a family's files.
struct TensorNames {
  absl::Span<const TensorLayout> layouts = {};        // tried in this order
  absl::Span<const absl::string_view> prefixes = {};  // of all names, tried in this order
  // Tensors that the encoder does not use, without the prefix: a whole name, a group that ends with
  // '.', or the end of names, which starts with '.'.
  absl::Span<const absl::string_view> unused = {};
  absl::Span<const HeadLayout> heads = {};  // at most one of each task
};

}  // namespace contexture
