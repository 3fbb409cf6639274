#pragma once

#include <vector>

#include "absl/strings/string_view.h"
#include "core/model/encoder_config.h"
#include "core/model/encoder_weights.h"
#include "core/model/expected_tensor.h"
#include "core/model/tensor_layout.h"
#include "core/model/tensor_source.h"

namespace contexture {

// What a file of a model and its family call things.
struct TensorPlace {
  const TensorSource& file;
  const TensorNames& names;
  absl::string_view prefix;  // of the encoder's tensors in FILE
};

// Whether FILE holds anything of HEAD that is not part of the encoder too: a model that was saved
// without its head may still name the head's class.
bool HoldsHead(const TensorPlace& place, const HeadConfig& head);

// The tensors of CONFIG.heads, whose views go to WEIGHTS.heads; those stay where they are until the
// result is bound. A decoder that is not in the file is the token embedding, and is not in the
// result: ShareDecoders sets it.
std::vector<ExpectedTensor> ExpectHeads(const TensorPlace& place, const EncoderConfig& config,
                                        EncoderWeights& weights);
void ShareDecoders(const EncoderConfig& config, EncoderWeights& weights);

}  // namespace contexture
