#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "core/model/model_directory.h"
#include "core/tensor/data_type.h"

namespace contexture {

enum class OutputKind {
  kPooled,
  kTokens,
  kHead,   // the outputs of a head, before any ScoreFunction, or its best predictions
  kSpans,  // one pooled vector for each of OutputSlot's spans
};

// OutputSpec::layer: the last one and the final norm.
inline constexpr int kAllLayers = -1;

// Which outputs of a head: those of the sequence, of each token, or the predictions of a masked
// language model.
struct HeadOutput {
  int index = 0;                     // of EncoderConfig::heads
  HeadRows rows = HeadRows::kFirst;  // the head's
  // kMaskedLm: the best so many, 1 .. TopPredictions::kMax and at most num_outputs, for each token
  // whose id is `token`; a row is `top_k` values of Prediction. 0: all outputs of all tokens.
  int top_k = 0;
  uint32_t token = 0;
  int num_rows = 0;  // with top_k: tokens of the sequence that have this id
  // kMaskedLm: instead of the outputs of each token one row of weights of the vocabulary.
  SparsePooling sparse = SparsePooling::kNone;
  bool log_twice = false;  // as SparseConfig
};

// What one output of one sequence is: resolved, no defaults left.
struct OutputSpec {
  OutputKind kind = OutputKind::kPooled;
  PoolingKind pooling = PoolingKind::kMean;  // kPooled, kSpans
  bool normalize = false;                    // L2, after slicing
  // 1 .. hidden_size, or PoolingConfig::Size for kModel; kHead: num_outputs, or 2 * top_k, or with
  // kChosen 1 .. num_outputs.
  int dimensions = 0;
  // kFloat32, kBfloat16, kFloat16, kInt8, kBinary.
  DataType data_type = DataType::kFloat32;
  // Of the hidden states after so many layers, 0 .. num_layers - 1, or kAllLayers.
  int layer = kAllLayers;
  // kInt8: [2, dimensions], the values that become -128 and the steps between two; as valid as
  // OutputSlot::destination. Null: round(127 x).
  const float* int8_ranges = nullptr;
  HeadOutput head = {};  // kHead only; but with kChosen the data_type is kFloat32
};

// Bytes of a row.
constexpr size_t RowBytes(const OutputSpec& spec) {
  return RowBytes(spec.data_type, spec.dimensions);
}
// Whether OutputSlot::tokens says which rows there are.
constexpr bool HasChosenRows(const OutputSpec& spec) {
  return spec.kind == OutputKind::kHead && spec.head.rows == HeadRows::kChosen;
}
// Rows of an output that is not of spans, for a sequence of `length` tokens, and their bytes; at
// most, where tokens are chosen.
constexpr int OutputRows(const OutputSpec& spec, int length) {
  if (HasChosenRows(spec)) return length;
  if (spec.kind == OutputKind::kTokens) return length;
  if (spec.kind != OutputKind::kHead || spec.head.rows != HeadRows::kEach) return 1;
  if (spec.head.sparse != SparsePooling::kNone) return 1;
  return spec.head.top_k > 0 ? spec.head.num_rows : length;
}
constexpr size_t OutputBytes(const OutputSpec& spec, int length) {
  return RowBytes(spec) * OutputRows(spec, length);
}

// An output and where the engine writes it: row-major, little-endian, any alignment.
struct OutputSlot {
  OutputSpec spec;
  char* destination = nullptr;  // OutputBytes(*this, length)
  // kSpans: tokens [begin, end) of the sequence, 0 <= begin < end <= length; as valid as
  // `destination`.
  absl::Span<const uint32_t> span_begins = {};
  absl::Span<const uint32_t> span_ends = {};
  // kHead of HeadRows::kChosen: whose rows it has, ascending, each < length; as valid as
  // `destination`.
  absl::Span<const uint32_t> tokens = {};
};
// What `destination` must hold for a sequence of `length` tokens.
inline size_t OutputBytes(const OutputSlot& slot, int length) {
  if (slot.spec.kind == OutputKind::kSpans) {
    return RowBytes(slot.spec) * slot.span_begins.size();
  }
  return HasChosenRows(slot.spec) ? RowBytes(slot.spec) * slot.tokens.size()
                                  : OutputBytes(slot.spec, length);
}

// The outputs of every sequence of a batch: sequence i has slots[offsets[i] .. offsets[i + 1]).
struct OutputPlan {
  absl::Span<const OutputSlot> slots;
  absl::Span<const uint32_t> offsets;  // [sequences + 1]
  // [sequences], set by Run: 1 where a result is not finite; its slots then hold garbage.
  absl::Span<uint8_t> non_finite;
};

}  // namespace contexture
