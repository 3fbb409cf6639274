#include "core/nn/mixed_attention.h"

#include <algorithm>

#include "core/nn/kernel_types.h"
#include "core/nn/share.h"

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
  if (bf16_) {
    Attend(batch, workspace);
  } else {
    float_heads_.Run(
        workspace, batch.num_sequences(),
        [&](int sequence) { return FloatRows(batch, sequence, workspace); },
        [](MixedWorkspace& member) {
          return reinterpret_cast<float*>(member.attention_scratch.data());
        });
  }
  if (!bf16_ || context_.format != Format::kBf16) ConvertContext(tokens, workspace);
}

mixed::GemmArgs MixedAttention::InputGemm(const MixedBlock& block, const Columns& columns,
                                          const MixedWorkspace& workspace) const {
  mixed::GemmArgs gemm = query_key_value_.Columns(columns.first, columns.count);
  gemm.input = workspace.input.data() + static_cast<size_t>(block.first) * workspace.hidden_stride;
  gemm.input_stride = workspace.hidden_stride;
  gemm.low_offset = context_.low_offset(context_.config().hidden_size);
  gemm.rows = block.rows;
  return gemm;
}

void MixedAttention::ProjectInput(const PackedBatch& batch, const MixedBlock& block,
                                  MixedWorkspace& workspace) const {
  const PartTimer timer(workspace.profile, Part::kQueryKeyValue);
  const int columns = config_.query_size() + 2 * config_.key_size();
  const bool by_head = bf16_ && heads_;
  Share(workspace,
        {block.rows, columns, mixed::kSpareRows, by_head ? config_.head_size : mixed::kPanel},
        [&](const ExtentPart& part, MixedWorkspace& member) {
          const MixedBlock rows = block.Part(part.first_row, part.rows);
          const Columns own = {part.first_column, part.columns};
          if (by_head) {
            ProjectHeads(batch, rows, own, workspace, member);
          } else {
            ProjectColumns(rows, own, workspace);
          }
        });
}

void MixedAttention::ProjectColumns(const MixedBlock& block, const Columns& columns,
                                    MixedWorkspace& workspace) const {
  if (columns.count <= 0) return;
  const mixed::GemmArgs gemm = InputGemm(block, columns, workspace);
  const float* bias = query_key_value_.bias() + columns.first;
  const size_t at = static_cast<size_t>(block.first) * workspace.qkv_stride + columns.first;
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

void MixedAttention::ProjectHeads(const PackedBatch& batch, const MixedBlock& block,
                                  const Columns& columns, MixedWorkspace& workspace,
                                  MixedWorkspace& member) const {
  const int size = config_.head_size, end = columns.first + columns.count;
  float* head = member.heads.data();
  int column = columns.first;
  for (; column < std::min(end, config_.query_size() + config_.key_size()); column += size) {
    context_.kernels.gemm_float(context_.format, InputGemm(block, {column, size}, workspace),
                                {head, size, query_key_value_.bias() + column, false});
    if (query_norm_.present()) {
      Normalise(context_.float_kernels(), context_.config(),
                column < config_.query_size() ? query_norm_ : key_norm_,
                {.input = head, .output = head, .rows = block.rows});
    }
    if (context_.layer.positions.turns() != nullptr) RotateHead(batch, block, head);
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
  ProjectColumns(block, {column, end - column}, workspace);
}

// A block may begin and end within a sequence.
void MixedAttention::RotateHead(const PackedBatch& batch, const MixedBlock& block,
                                float* heads) const {
  const auto offsets = batch.offsets;
  const auto after = std::upper_bound(offsets.begin(), offsets.end(), block.first);
  const int end = block.first + block.rows;
  auto sequence = after - offsets.begin() - 1;
  for (int token = block.first; token < end; ++sequence) {
    const int position = token - static_cast<int>(offsets[sequence]);
    const int rows = std::min(end, static_cast<int>(offsets[sequence + 1])) - token;
    const size_t at = token - block.first;
    context_.float_kernels().rotate({.rows = heads + at * config_.head_size,
                                     .turns = context_.layer.positions.turns() +
                                              static_cast<size_t>(position) * config_.head_size,
                                     .num_rows = rows,
                                     .num_heads = 1,
                                     .head_size = config_.head_size,
                                     .stride = config_.head_size});
    token += rows;
  }
}

void MixedAttention::Attend(const PackedBatch& batch, MixedWorkspace& workspace) const {
  Share(workspace, {batch.num_sequences(), config_.num_key_value_heads},
        [&](const ExtentPart& part, MixedWorkspace& member) {
          for (int i = part.first_row; i < part.first_row + part.rows; ++i) {
            AttendHeads({static_cast<int>(batch.offsets[i]), batch.length(i), batch.num_keys(i),
                         part.first_column, part.columns},
                        member.attention_scratch.data(), workspace);
          }
        });
}

void MixedAttention::AttendHeads(const SequenceHeads& heads, char* scratch,
                                 MixedWorkspace& workspace) const {
  const int group = config_.num_heads / config_.num_key_value_heads;
  const int first_head = heads.first_key_head * group;
  const size_t column = static_cast<size_t>(first_head) * config_.head_size;
  const size_t key_column = static_cast<size_t>(heads.first_key_head) * config_.head_size;
  const uint16_t* row =
      workspace.qkv.data() + static_cast<size_t>(heads.first_token) * workspace.qkv_stride;
  const uint16_t* key = row + config_.query_size() + key_column;
  const bool narrow = context_.format == Format::kBf16;
  const int context_stride = narrow ? workspace.attention_stride : config_.query_size();
  const size_t context = static_cast<size_t>(heads.first_token) * context_stride + column;
  const absl::Span<const float> slopes = context_.layer.positions.slopes();
  const RelativeBias* bias = context_.layer.relative_bias;
  context_.kernels.attention(
      {.query = row + column,
       .key = key,
       .value = key + config_.key_size(),
       .context = narrow ? workspace.context.data() + context : nullptr,
       .length = heads.length,
       .heads = heads.key_heads * group,
       .head_size = config_.head_size,
       .stride = workspace.qkv_stride,
       .context_stride = context_stride,
       .scale = config_.scale,
       .scratch = scratch,
       .float_context = narrow ? nullptr : workspace.context_float.data() + context,
       .key_value_heads = heads.key_heads,
       .causal = config_.causal,
       .window = context_.layer.window,
       .alibi_slopes = slopes.empty() ? nullptr : slopes.data() + first_head,
       .distance_bias = bias == nullptr ? nullptr : bias->Head(first_head),
       .distance_stride = bias == nullptr ? 0 : bias->head_stride(),
       .key_length = heads.num_keys});
}

HeadRows MixedAttention::FloatRows(const PackedBatch& batch, int sequence,
                                   MixedWorkspace& workspace) const {
  const size_t first = batch.offsets[sequence];
  float* query = workspace.qkv_float.data() + first * workspace.qkv_stride;
  const int size = config_.query_size();
  return {.query = query,
          .key = query + size,
          .value = query + size + config_.key_size(),
          .context = workspace.context_float.data() + first * size,
          .length = batch.length(sequence),
          .num_keys = batch.num_keys(sequence),
          .stride = workspace.qkv_stride,
          .context_stride = size};
}

void MixedAttention::ConvertContext(int tokens, MixedWorkspace& workspace) const {
  const int size = config_.query_size();
  Share(workspace, {.rows = tokens, .row_step = kSharedRows},
        [&](const ExtentPart& part, MixedWorkspace&) {
          const auto first = static_cast<size_t>(part.first_row);
          context_.kernels.convert(
              context_.format,
              {.input = workspace.context_float.data() + first * size,
               .input_stride = size,
               .output = workspace.context.data() + first * workspace.attention_stride,
               .stride = workspace.attention_stride,
               .low_offset = context_.low_offset(size),
               .rows = part.rows,
               .columns = size,
               .factors = output_.input_factors()});
        });
}

void MixedAttention::Project(const MixedBlock& block, MixedWorkspace& workspace) const {
  const PartTimer timer(workspace.profile, Part::kAttentionOutput);
  Share(workspace, {block.rows, context_.config().hidden_size, mixed::kSpareRows, mixed::kPanel},
        [&](const ExtentPart& part, MixedWorkspace&) {
          const MixedBlock rows = block.Part(part.first_row, part.rows);
          mixed::GemmArgs gemm = output_.Columns(part.first_column, part.columns);
          gemm.input = workspace.context.data() +
                       static_cast<size_t>(rows.first) * workspace.attention_stride;
          gemm.input_stride = workspace.attention_stride;
          gemm.low_offset = context_.low_offset(config_.query_size());
          gemm.rows = rows.rows;
          float* to = workspace.projected.data() +
                      static_cast<size_t>(rows.at) * workspace.projected_stride + part.first_column;
          context_.kernels.gemm_float(context_.format, gemm,
                                      {to, workspace.projected_stride, nullptr, false});
        });
}

}  // namespace contexture::nn
