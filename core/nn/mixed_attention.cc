#include "core/nn/mixed_attention.h"

#include <algorithm>

#include "core/nn/kernel_types.h"

namespace contexture::nn {

namespace mixed = kernels::mixed;
using mixed::Format;

// What norms give to queries and keys varies most between columns. With 0.5 texts of few tokens,
// with 0.7 long ones are worse on all-MiniLM-L6-v2.
constexpr float kInputMigration = 0.6f;

MixedAttention::MixedAttention(const MixedContext& context, const LayerWeights& weights,
                               const LayerRanges* ranges)
    : context_(context),
      config_(context.config().attention),
      bf16_(AttendsInBf16(context.config(), context.format)),
      heads_(context.layer.positions.turns() != nullptr || weights.query_norm.weight.present()),
      float_heads_(context.layer, weights),
      query_norm_(weights.query_norm, context.config().norm_weight_offset),
      key_norm_(weights.key_norm, context.config().norm_weight_offset),
      query_key_value_(
          context.format, {ToPart(weights.query), ToPart(weights.key), ToPart(weights.value)},
          {.input_ranges = RangesOf(ranges, &LayerRanges::input), .migration = kInputMigration}),
      output_(context.format, {ToPart(weights.attention_output)},
              {RangesOf(ranges, &LayerRanges::context)}) {}

void MixedAttention::Run(const PackedBatch& batch, MixedWorkspace& workspace) const {
  const int tokens = batch.num_tokens();
  for (int first = 0; first < tokens; first += kMixedBlockRows) {
    ProjectInput(batch, {first, std::min(kMixedBlockRows, tokens - first)}, workspace);
  }
  const PartTimer timer(workspace.profile, Part::kAttention);
  for (int i = 0; i < batch.num_sequences(); ++i) {
    const int first = static_cast<int>(batch.offsets[i]);
    if (bf16_) {
      AttendSequence(first, batch.length(i), workspace);
    } else {
      AttendFloat(first, batch.length(i), workspace);
    }
  }
  if (!bf16_ || context_.format != Format::kBf16) ConvertContext(tokens, workspace);
}

mixed::GemmArgs MixedAttention::InputGemm(const MixedBlock& block, int column, int columns,
                                          const MixedWorkspace& workspace) const {
  mixed::GemmArgs gemm = query_key_value_.Columns(column, columns);
  gemm.input = workspace.input.data() + static_cast<size_t>(block.first) * workspace.hidden_stride;
  gemm.input_stride = workspace.hidden_stride;
  gemm.low_offset = context_.low_offset(context_.config().hidden_size);
  gemm.rows = block.rows;
  return gemm;
}

void MixedAttention::ProjectInput(const PackedBatch& batch, const MixedBlock& block,
                                  MixedWorkspace& workspace) const {
  const PartTimer timer(workspace.profile, Part::kQueryKeyValue);
  const int queries_keys = config_.query_size() + config_.key_size();
  const int all = queries_keys + config_.key_size();
  if (!bf16_ || !heads_) return ProjectColumns(block, 0, all, workspace);
  for (int column = 0; column < queries_keys; column += config_.head_size) {
    ProjectHead(batch, block, column, workspace);
  }
  ProjectColumns(block, queries_keys, config_.key_size(), workspace);
}

void MixedAttention::ProjectColumns(const MixedBlock& block, int column, int columns,
                                    MixedWorkspace& workspace) const {
  const mixed::GemmArgs gemm = InputGemm(block, column, columns, workspace);
  const float* bias = query_key_value_.bias() + column;
  const size_t at = static_cast<size_t>(block.first) * workspace.qkv_stride + column;
  if (bf16_) {
    context_.kernels.gemm_activation(context_.format, gemm,
                                     {.output = workspace.qkv.data() + at,
                                      .stride = workspace.qkv_stride,
                                      .low_offset = 0,
                                      .bias = bias,
                                      .epilogue = kernels::Epilogue::kBias,
                                      .format = Format::kBf16});
  } else {
    context_.kernels.gemm_float(
        context_.format, gemm,
        {workspace.qkv_float.data() + at, workspace.qkv_stride, bias, false});
  }
}

void MixedAttention::ProjectHead(const PackedBatch& batch, const MixedBlock& block, int column,
                                 MixedWorkspace& workspace) const {
  const int size = config_.head_size;
  float* head = workspace.heads.data();
  context_.kernels.gemm_float(context_.format, InputGemm(block, column, size, workspace),
                              {head, size, query_key_value_.bias() + column, false});
  if (query_norm_.present()) {
    Normalise(context_.float_kernels(), context_.config(),
              column < config_.query_size() ? query_norm_ : key_norm_,
              {.input = head, .output = head, .rows = block.rows});
  }
  if (context_.layer.positions.turns() != nullptr) RotateHead(batch, block, workspace);
  const size_t at = static_cast<size_t>(block.first) * workspace.qkv_stride + column;
  context_.kernels.convert(Format::kBf16, {.input = head,
                                           .input_stride = size,
                                           .output = workspace.qkv.data() + at,
                                           .stride = workspace.qkv_stride,
                                           .low_offset = 0,
                                           .rows = block.rows,
                                           .columns = size,
                                           .factors = nullptr});
}

// A block may begin and end within a sequence.
void MixedAttention::RotateHead(const PackedBatch& batch, const MixedBlock& block,
                                MixedWorkspace& workspace) const {
  const auto offsets = batch.offsets;
  const auto after = std::upper_bound(offsets.begin(), offsets.end(), block.first);
  const int end = block.first + block.rows;
  auto sequence = after - offsets.begin() - 1;
  for (int token = block.first; token < end; ++sequence) {
    const int position = token - static_cast<int>(offsets[sequence]);
    const int rows = std::min(end, static_cast<int>(offsets[sequence + 1])) - token;
    const size_t at = token - block.first;
    context_.float_kernels().rotate({.rows = workspace.heads.data() + at * config_.head_size,
                                     .turns = context_.layer.positions.turns() +
                                              static_cast<size_t>(position) * config_.head_size,
                                     .num_rows = rows,
                                     .num_heads = 1,
                                     .head_size = config_.head_size,
                                     .stride = config_.head_size});
    token += rows;
  }
}

void MixedAttention::AttendSequence(int first, int length, MixedWorkspace& workspace) const {
  const uint16_t* query = workspace.qkv.data() + static_cast<size_t>(first) * workspace.qkv_stride;
  const bool narrow = context_.format == Format::kBf16;
  const int context_stride = narrow ? workspace.attention_stride : config_.query_size();
  const size_t context = static_cast<size_t>(first) * context_stride;
  const absl::Span<const float> slopes = context_.layer.positions.slopes();
  const RelativeBias* bias = context_.layer.relative_bias;
  context_.kernels.attention(
      {.query = query,
       .key = query + config_.query_size(),
       .value = query + config_.query_size() + config_.key_size(),
       .context = narrow ? workspace.context.data() + context : nullptr,
       .length = length,
       .heads = config_.num_heads,
       .head_size = config_.head_size,
       .stride = workspace.qkv_stride,
       .context_stride = context_stride,
       .scale = config_.scale,
       .scratch = workspace.attention_scratch.data(),
       .float_context = narrow ? nullptr : workspace.context_float.data() + context,
       .key_value_heads = config_.num_key_value_heads,
       .causal = config_.causal,
       .window = context_.layer.window,
       .alibi_slopes = slopes.empty() ? nullptr : slopes.data(),
       .distance_bias = bias == nullptr ? nullptr : bias->Head(0),
       .distance_stride = bias == nullptr ? 0 : bias->head_stride()});
}

void MixedAttention::AttendFloat(int first, int length, MixedWorkspace& workspace) const {
  float* query = workspace.qkv_float.data() + static_cast<size_t>(first) * workspace.qkv_stride;
  const int size = config_.query_size();
  float_heads_.Run({.query = query,
                    .key = query + size,
                    .value = query + size + config_.key_size(),
                    .context = workspace.context_float.data() + static_cast<size_t>(first) * size,
                    .length = length,
                    .stride = workspace.qkv_stride,
                    .context_stride = size},
                   reinterpret_cast<float*>(workspace.attention_scratch.data()), nullptr);
}

void MixedAttention::ConvertContext(int tokens, MixedWorkspace& workspace) const {
  const int size = config_.query_size();
  context_.kernels.convert(context_.format, {.input = workspace.context_float.data(),
                                             .input_stride = size,
                                             .output = workspace.context.data(),
                                             .stride = workspace.attention_stride,
                                             .low_offset = context_.low_offset(size),
                                             .rows = tokens,
                                             .columns = size,
                                             .factors = output_.input_factors()});
}

void MixedAttention::Project(const MixedBlock& block, MixedWorkspace& workspace) const {
  const PartTimer timer(workspace.profile, Part::kAttentionOutput);
  mixed::GemmArgs gemm = output_.Columns(0, context_.config().hidden_size);
  gemm.input =
      workspace.context.data() + static_cast<size_t>(block.first) * workspace.attention_stride;
  gemm.input_stride = workspace.attention_stride;
  gemm.low_offset = context_.low_offset(config_.query_size());
  gemm.rows = block.rows;
  context_.kernels.gemm_float(
      context_.format, gemm,
      {workspace.projected.data(), workspace.projected_stride, nullptr, false});
}

}  // namespace contexture::nn
