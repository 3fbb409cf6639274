#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "core/engine/engine.h"

namespace contexture::test_support {

// The outputs of one sequence: a vector per token, and the pooled one as the model directory says.
struct SequenceVectors {
  std::vector<float> tokens;  // [length, hidden]
  std::vector<float> pooled;  // [hidden]
};

// Runs the sequences as one batch. INTERNAL: the engine marked a result as not finite.
absl::StatusOr<std::vector<SequenceVectors>> EncodeBatch(
    const Engine& engine, Workspace& workspace,
    const std::vector<const std::vector<uint32_t>*>& sequences);

// The vectors of all sequences, computed as one batch, or each as a batch of its own.
absl::StatusOr<std::vector<SequenceVectors>> EncodeAll(
    const Engine& engine, const std::vector<std::vector<uint32_t>>& sequences, bool together);

// The same, each batch shared by MEMBERS threads, until helpers have computed some of it.
absl::StatusOr<std::vector<SequenceVectors>> EncodeShared(
    const Engine& engine, const std::vector<std::vector<uint32_t>>& sequences, bool together,
    int members);

// Whether both hold the same bits.
bool BitIdentical(const SequenceVectors& a, const SequenceVectors& b);

}  // namespace contexture::test_support
