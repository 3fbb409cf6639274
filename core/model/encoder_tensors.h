#pragma once

#include <vector>

#include "absl/strings/string_view.h"
#include "core/model/encoder_config.h"
#include "core/model/encoder_weights.h"
#include "core/model/expected_tensor.h"
#include "core/model/tensor_layout.h"

namespace contexture {

// The tensors of an encoder of CONFIG, and its decoder's, in a file that names them as LAYOUT does
// behind PREFIX. Makes room in WEIGHTS, which their targets point into; the heads' are not among
// them (ExpectHeads).
std::vector<ExpectedTensor> ExpectEncoder(const EncoderConfig& config, const TensorLayout& layout,
                                          absl::string_view prefix, EncoderWeights& weights);

}  // namespace contexture
