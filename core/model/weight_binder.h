#pragma once

#include "absl/status/statusor.h"
#include "core/model/encoder_config.h"
#include "core/model/encoder_weights.h"
#include "core/model/model_directory.h"
#include "core/model/tensor_source.h"

namespace contexture {

// Finds every weight of CONFIG's encoder in FILE by name and checks its shape and data type (F32,
// F16 or BF16). A family's tensor names, and the tensors of a file that its encoder does not use,
// stand in its row (config_family.h). The views live as long as FILE and the result.
// INVALID_ARGUMENT: FILE does not hold what CONFIG describes; the message lists all that is
// missing, of another shape or type, or superfluous (cut after 20). FAILED_PRECONDITION: only data
// types differ.
absl::StatusOr<EncoderWeights> BindWeights(const TensorSource& file, const EncoderConfig& config);

// Takes those of CONFIG.heads out that FILE holds no tensor of, and names them in absent_heads:
// files of encoders often keep the name of the class that they were trained as.
void KeepStoredHeads(const TensorSource& file, EncoderConfig& config);

// The same for a Dense module of sentence-transformers: "linear.weight" and "linear.bias".
absl::StatusOr<LinearWeights> BindDense(const TensorSource& file, const DenseConfig& config);

}  // namespace contexture
