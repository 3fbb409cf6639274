#pragma once

#include <cstdint>
#include <vector>

#include "core/model/encoder_config.h"
#include "core/model/encoder_weights.h"

namespace contexture::test_support {

// The contextual vectors [tokens, hidden] of one sequence, by plain loops over the reference
// kernels: the slow, obvious twin of nn::Encoder.
std::vector<float> ReferenceEncode(const EncoderConfig& config, const EncoderWeights& weights,
                                   const std::vector<uint32_t>& ids,
                                   const std::vector<uint32_t>& type_ids);

}  // namespace contexture::test_support
