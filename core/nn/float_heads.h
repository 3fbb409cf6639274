#pragma once

#include <memory>

#include "core/nn/float_parts.h"
#include "core/nn/observer.h"
#include "core/nn/share.h"

namespace contexture::nn {

// The projected queries, keys and values of one sequence, all heads side by side.
struct HeadRows {
  float* query;    // [length, query_size] at `stride`
  float* key;      // [length, key_size] at `stride`, behind the queries
  float* value;    // [length, key_size] at `stride`
  float* context;  // [length, query_size] at `context_stride`
  int length;
  int num_keys;  // of the first tokens, which are attended to; 1 .. length
  int stride;    // elements
  int context_stride;
};

// Attention in float from projected queries, keys and values to the context (Vaswani et al. 2017,
// 3.2), with what families add to it: grouped keys and values, norms of queries and keys, a window,
// positions. Immutable, thread safe.
class FloatHeads {
 public:
  FloatHeads(const LayerContext& context, const LayerWeights& weights);
  // Projects relative positions where the model has them. Codes: those of kernels::MakeLinear.
  absl::Status Init(const LayerWeights& weights);

  // For sequences [0, SEQUENCES), shared by WORKSPACE's team: norms and rotates queries and keys in
  // place, and writes the context. ROWS_OF(sequence) are a sequence's HeadRows; SCRATCH_OF(member)
  // is a workspace's scratch of kernels::AttentionArgs.
  template <typename OwnWorkspace, typename RowsOf, typename ScratchOf>
  void Run(OwnWorkspace& workspace, int sequences, const RowsOf& rows_of,
           const ScratchOf& scratch_of) const;
  size_t weight_bytes() const { return relative_ == nullptr ? 0 : relative_->bytes(); }

 private:
  // Heads [first, first + count) of a row.
  struct Heads {
    int first;
    int count;
  };
  int num_prepared() const { return config_.num_heads + config_.num_key_value_heads; }
  // Norms and rotates these of the heads of all queries and, behind them, keys.
  void Prepare(const HeadRows& rows, const Heads& heads) const;
  void Normalise(const Norm& norm, const HeadRows& rows, const Heads& heads) const;
  // Of prepared queries and keys. OBSERVER may be null.
  void Attend(const HeadRows& rows, const Heads& heads, float* scratch, Observer* observer) const;

  const LayerContext context_;
  const AttentionConfig config_;
  const kernels::VectorKernels& kernels_;
  Norm query_norm_, key_norm_;
  std::unique_ptr<const DisentangledProjections> relative_;  // null: none
};

template <typename OwnWorkspace, typename RowsOf, typename ScratchOf>
void FloatHeads::Run(OwnWorkspace& workspace, int sequences, const RowsOf& rows_of,
                     const ScratchOf& scratch_of) const {
  if (!Shares(workspace)) {
    for (int i = 0; i < sequences; ++i) {
      Prepare(rows_of(i), {0, num_prepared()});
      Attend(rows_of(i), {0, config_.num_heads}, scratch_of(workspace), workspace.observer);
    }
    return;
  }
  const auto share = [&](int heads, const auto& compute) {
    Share(workspace, {sequences, heads}, [&](const ExtentPart& part, OwnWorkspace& member) {
      for (int i = part.first_row; i < part.first_row + part.rows; ++i) {
        compute(rows_of(i), Heads{part.first_column, part.columns}, member);
      }
    });
  };
  // Several heads may need one key: all are prepared before.
  if (query_norm_.present() || context_.positions.turns() != nullptr) {
    share(num_prepared(),
          [&](const HeadRows& rows, const Heads& heads, OwnWorkspace&) { Prepare(rows, heads); });
  }
  share(config_.num_heads, [&](const HeadRows& rows, const Heads& heads, OwnWorkspace& member) {
    Attend(rows, heads, scratch_of(member), nullptr);
  });
}

}  // namespace contexture::nn
