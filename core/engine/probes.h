#pragma once

#include <cstdint>
#include <vector>

#include "core/model/encoder_config.h"
#include "core/model/token_sequences.h"

namespace contexture {

// Pseudo-random token sequences of 1 to 128 tokens (or the model's length), the same on every
// machine.
TokenSequences ProbeSequences(const EncoderConfig& config, uint32_t seed);

}  // namespace contexture
