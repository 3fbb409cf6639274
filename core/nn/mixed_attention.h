#pragma once

#include "core/kernels/mixed_linear.h"
#include "core/nn/float_heads.h"
#include "core/nn/mixed_parts.h"
#include "core/nn/mixed_workspace.h"
#include "core/tensor/packed_batch.h"

namespace contexture::nn {

// Multi-head self-attention in mixed precision, without the bias of its output: what FloatAttention
// computes, and the projection of the context. Immutable, thread safe.
class MixedAttention {
 public:
  // `ranges`: for kInt8, or null.
  MixedAttention(const MixedContext& context, const LayerWeights& weights,
                 const LayerRanges* ranges);
  // Projects relative positions where the model has them. Codes: those of kernels::MakeLinear.
  absl::Status Init(const LayerWeights& weights) { return float_heads_.Init(weights); }

  // Run and Project are shared by the workspace's team.
  // From workspace.input to workspace.context.
  void Run(const PackedBatch& batch, MixedWorkspace& workspace) const;
  // From BLOCK of workspace.context to workspace.projected.
  void Project(const MixedBlock& block, MixedWorkspace& workspace) const;
  const float* input_factors() const { return query_key_value_.input_factors(); }
  const float* bias() const { return output_.bias(); }
  size_t weight_bytes() const {
    return query_key_value_.weight_bytes() + output_.weight_bytes() + float_heads_.weight_bytes();
  }

 private:
  void ProjectInput(const PackedBatch& batch, const MixedBlock& block,
                    MixedWorkspace& workspace) const;
  // Columns [first, first + count) of queries, keys and values.
  struct Columns {
    int first;
    int count;
  };
  // COLUMNS, of whole heads, of which queries and keys are normed and rotated in the scratch of
  // MEMBER.
  void ProjectHeads(const PackedBatch& batch, const MixedBlock& block, const Columns& columns,
                    MixedWorkspace& workspace, MixedWorkspace& member) const;
  // COLUMNS as they are.
  void ProjectColumns(const MixedBlock& block, const Columns& columns,
                      MixedWorkspace& workspace) const;
  // In HEADS [block, head_size].
  void RotateHead(const PackedBatch& batch, const MixedBlock& block, float* heads) const;
  // Tokens of a sequence, and those of its heads that share keys with no others.
  struct SequenceHeads {
    int first_token, length;
    int num_keys;  // as PackedBatch::num_keys
    int first_key_head, key_heads;
  };
  void Attend(const PackedBatch& batch, MixedWorkspace& workspace) const;
  void AttendHeads(const SequenceHeads& heads, char* scratch, MixedWorkspace& workspace) const;
  HeadRows FloatRows(const PackedBatch& batch, int sequence, MixedWorkspace& workspace) const;
  void ConvertContext(int tokens, MixedWorkspace& workspace) const;
  kernels::mixed::GemmArgs InputGemm(const MixedBlock& block, const Columns& columns,
                                     const MixedWorkspace& workspace) const;

  const MixedContext context_;
  const AttentionConfig config_;
  const bool bf16_;   // AttendsInBf16
  const bool heads_;  // whether queries and keys are normed or rotated
  FloatHeads float_heads_;
  Norm query_norm_, key_norm_;
  kernels::mixed::MixedLinear query_key_value_, output_;
};

}  // namespace contexture::nn
