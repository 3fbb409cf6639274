#pragma once

#include <vector>

#include "absl/types/span.h"
#include "core/model/activation_ranges.h"
#include "core/nn/encoder.h"

namespace contexture::nn {

// Runs an observable encoder over each sequence, of 1 to max_length ids in range.
ActivationRanges MeasureActivationRanges(const Encoder& encoder, const EncoderConfig& config,
                                         absl::Span<const std::vector<uint32_t>> sequences);

}  // namespace contexture::nn
