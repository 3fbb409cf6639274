#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tests/support/safetensors_writer.h"

namespace contexture::test_support {

// A "transformer_encoder" (PyTorch's nn.Embedding and nn.TransformerEncoder) with random weights
// and no tokenizer; with decoder layers a "transformer_encoder_decoder" (nn.Transformer). The same
// options give the same bytes.
struct TinyTransformerOptions {
  uint32_t seed = 1;
  int d_model = 16;
  int nhead = 2;
  int num_layers = 2;
  int dim_feedforward = 24;
  int vocab_size = 50;
  int max_len = 16;
  std::string activation = "relu";
  std::string positional_encoding = "sinusoidal";
  bool sparse_table = false;
  bool norm_first = false;
  bool final_norm = false;
  bool scale_embedding = false;
  bool bias = true;
  int num_decoder_layers = 0;
  int target_vocab_size = 30;
};

std::vector<StoredTensor> TinyTransformerTensors(const TinyTransformerOptions& options);
// The text of config.json.
std::string TinyTransformerConfig(const TinyTransformerOptions& options);
// Writes the model into DIRECTORY, which is made when absent. INTERNAL: it cannot be written.
absl::Status WriteTinyTransformer(absl::string_view directory,
                                  const TinyTransformerOptions& options);

}  // namespace contexture::test_support
