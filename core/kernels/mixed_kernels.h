#pragma once

#include <cstddef>
#include <cstdint>

#include "core/kernels/vector_kernels.h"

// Own kernels of mixed precision, for CPUs with AMX, AVX-512 BF16 or AVX-512 VNNI. They multiply in
// bfloat16 and accumulate in float, or in 8-bit integers and accumulate in 32-bit ones; the
// residual stream, norms, softmax sums and activations are float. All are pure, allocate nothing,
// and a row's result depends on that row alone: sums run over the depth in one fixed order. All
// instruction sets share the layouts below, which are those of AMX tiles.
namespace contexture::kernels::mixed {

// How activations travel between kernels. Rows hold `columns` bfloat16 values, and zeros up to a
// multiple of kDepth; with kSplit the low halves follow the high ones, x = high + low with 16 bits
// of significand, and a product is the sum of three: high high + low high + high low. With kInt8
// they hold bytes q of x factor = scale (q - zero) and, behind them, the row's own Quantization;
// `factor` belongs to the column and evens out the ranges of columns (SmoothQuant: Xiao et al.
// 2023).
enum class Format { kBf16, kSplit, kInt8 };

// What turns a row of bytes into numbers. Covers the row's smallest and largest value and 0.
struct Quantization {
  float scale;
  int32_t zero;  // 0 .. 255
};

inline constexpr int kDepth = 32;  // depth of one tile product
inline constexpr int kPanel = 32;  // output columns of a weight panel
// Columns that one call of gemm_activation can quantize: a row of them is held in fast memory.
inline constexpr int kMaxQuantizedColumns = 384;
// Buffers of activations and of float outputs need this many spare rows: tiles are read and written
// whole.
inline constexpr int kSpareRows = 32;

// The widths of packed weights and of activations in memory: multiples of kDepth and kPanel.
constexpr int RoundUpToPanel(int n) { return (n + kPanel - 1) / kPanel * kPanel; }
// Depth of a packed step: the tiles have rows of 64 bytes.
constexpr int StepDepth(Format format) { return format == Format::kInt8 ? 64 : kDepth; }
constexpr int StepsFor(Format format, int depth) {
  return (depth + StepDepth(format) - 1) / StepDepth(format);
}
// Elements from the start of a row to the low halves (kSplit) or the Quantization (kInt8).
constexpr int LowOffset(Format format, int columns) {
  return format == Format::kInt8 ? StepsFor(format, columns) * StepDepth(format) / 2
                                 : RoundUpToPanel(columns);
}
// Elements between activation rows: padded by a cache line so that rows do not share cache sets
// (and to hold the Quantization).
constexpr int RowStride(Format format, int columns) {
  return LowOffset(format, columns) * (format == Format::kSplit ? 2 : 1) + 32;
}
// Elements of the packed tiles of one depth step of a panel (two tiles of 16 x 32; high and low).
constexpr int StepElements(Format format) { return format == Format::kSplit ? 2048 : 1024; }

// input [rows, StepDepth * steps] times `panels` packed panels (see PackWeights).
struct GemmArgs {
  const uint16_t* input;
  int input_stride;
  int low_offset;  // LowOffset of an input row
  int rows;
  const uint16_t* weights;
  size_t panel_stride;  // elements between panels
  int steps;
  int panels;
  // kInt8: [groups, 32 * panels] at `scale_stride`, of each output column; a group is `group_steps`
  // steps, the last may be fewer.
  const float* weight_scale;
  int scale_stride;
  int group_steps;
  const float* column_sums;  // kInt8: [32 * panels], of the scaled weights over these steps
};

// Where activation(product + bias) goes, as activations. `gated`: the panels are those of a
// MixedLinear of Stacking::kGated, and activation(gate + bias) * (up + bias) goes there, half as
// many columns.
struct ActivationOutput {
  uint16_t* output;
  int stride;
  int low_offset;
  const float* bias;
  Epilogue epilogue;  // not kNone
  Format format;      // the input's; or kBf16 of a kInt8 input; kInt8: kMaxQuantizedColumns at most
  bool gated = false;
};

// Where the product goes as floats; with `bias`, added. `accumulate`: added to what is there.
struct FloatOutput {
  float* output;
  int stride;
  const float* bias;  // null when accumulating or when added later
  bool accumulate;
};

// output = norm(input + bias + residual) * gamma + beta, as floats and as activations. `output` may
// be `input` or `residual` where both have the same stride.
struct NormArgs {
  kernels::NormArgs norm;
  uint16_t* activations;  // null: as floats alone
  int stride;
  int low_offset;
  const float* factors;  // kInt8: [size], of the columns; null: all 1
  float* sum = nullptr;  // [rows, size]: input + bias + residual; may be `residual`. Null: not kept
  int input_stride = 0;  // of norm.input; 0: norm.size
  int output_stride = 0;  // of norm.output; 0: norm.size
};

// Floats to activations.
struct ConvertArgs {
  const float* input;  // [rows, columns] at `input_stride`
  int input_stride;
  uint16_t* output;
  int stride;
  int low_offset;
  int rows;
  int columns;
  const float* factors;  // kInt8: [columns]; null: all 1
};

// Attention of all heads of one sequence, as kernels::AttentionArgs.
struct AttentionArgs {
  const uint16_t* query;  // [length, heads * head_size] at `stride`: head h at column h * head_size
  const uint16_t* key;    // [length, key_value_heads * head_size] at `stride`
  const uint16_t* value;  // likewise
  uint16_t* context;      // [length, heads * head_size] at `context_stride`; null: float_context
  int length;
  int heads;
  int head_size;  // SupportsHeadSize
  int stride;
  int context_stride;
  float scale;
  char* scratch;                   // AttentionScratchBytes(length, head_size), 64-byte aligned
  float* float_context = nullptr;  // the same as floats
  int key_value_heads = 0;         // divides heads; 0: heads
  bool causal = false;
  int window = 0;
  const float* alibi_slopes = nullptr;   // [heads]; null: none
  const float* distance_bias = nullptr;  // of head 0
  size_t distance_stride = 0;            // to the distance_bias of the next head
  int key_length = 0;                    // of the first rows of key and value; 0: length

  int keys() const { return key_length == 0 ? length : key_length; }
};
size_t AttentionScratchBytes(int length, int head_size);
inline constexpr int kMaxHeadSize = 256;
constexpr bool SupportsHeadSize(int head_size) {
  return head_size % kDepth == 0 && head_size <= kMaxHeadSize;
}

// The kernels of one instruction set.
struct Kernels {
  Isa isa;  // kAvx512Vnni, kAvx512Bf16 or kAmx
  void (*gemm_activation)(Format, const GemmArgs&, const ActivationOutput&);
  void (*gemm_float)(Format, const GemmArgs&, const FloatOutput&);
  void (*norm)(Format, const NormArgs&);
  void (*attention)(const AttentionArgs&);      // in bfloat16; null: the instruction set has none
  void (*convert)(Format, const ConvertArgs&);  // also to kBf16, where there is attention
  // Sets up this thread's tile registers where there are some; every use of the kernels lies
  // between the two.
  void (*acquire_tiles)();
  void (*release_tiles)();
};
// The kernels that compute `format` with `isa`, or null: kBf16 needs AVX-512 BF16 (its emulation
// would be slower than float), kSplit needs AMX, kInt8 needs AVX-512 VNNI.
const Kernels* GetKernels(Format format, Isa isa = DetectIsa());

// Packs `count` output features: out[r] points to the `in` floats (unaligned) of feature r. Layout:
// [panel][step][high, low][tile of 16 columns][depth pair][column][2], zero where padded. `packed`
// holds RoundUpToPanel(count) / kPanel * RoundUpToPanel(in) / kDepth * StepElements elements.
void PackWeights(Format format, const char* const* rows, int count, int in, uint16_t* packed);

// The same for kInt8: 8-bit weights, symmetric, with a scale for each output feature and group.
struct Int8Weights {
  uint16_t* packed;    // as above, with StepDepth(kInt8) depth elements a step: tiles of quads
  float* scale;        // [in / scale_depth, rounded up][count]
  float* column_sums;  // [in / depth_chunk, rounded up][count]: of the weights as they are packed
};
struct Int8Packing {
  const float* factors;  // [in]: weights are divided by the factor of their input column; or null
  int depth_chunk;       // inputs that are multiplied, and so summed, together
  int scale_depth;       // inputs whose weights share a scale
};
void PackInt8Weights(const char* const* rows, int count, int in, const Int8Packing& packing,
                     const Int8Weights& weights);

}  // namespace contexture::kernels::mixed
