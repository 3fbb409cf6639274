#pragma once

#include <cstddef>
#include <cstdint>

#include "core/kernels/vector_kernels.h"

// Own kernels of mixed precision, for CPUs with AMX or AVX-512 BF16. They multiply in bfloat16 and
// accumulate in float; the residual stream, norms, softmax sums and activations are float. All are
// pure, allocate nothing, and a row's result depends on that row alone: sums run over the depth in
// one fixed order. Both instruction sets share the layouts below, which are those of AMX tiles.
namespace contexture::kernels::mixed {

// How activations travel between kernels. Rows hold `columns` (a multiple of kDepth) bfloat16
// values; with kSplit the low halves follow the high ones, x = high + low with 16 bits of
// significand, and a product is the sum of three: high high + low high + high low.
enum class Format { kBf16, kSplit };

inline constexpr int kDepth = 32;  // depth of one tile product; column counts are multiples of it
inline constexpr int kPanel = 32;  // output columns of a weight panel
// Buffers of activations and of float outputs need this many spare rows: tiles are read and written
// whole.
inline constexpr int kSpareRows = 32;

constexpr int RoundUpToPanel(int n) { return (n + kPanel - 1) / kPanel * kPanel; }
// Elements between activation rows: padded by a cache line so that rows do not share cache sets.
constexpr int RowStride(Format format, int columns) {
  return columns * (format == Format::kSplit ? 2 : 1) + 32;
}
// Elements of the packed tiles of one depth step of a panel (two tiles of 16 x 32; high and low).
constexpr int StepElements(Format format) { return format == Format::kSplit ? 2048 : 1024; }

// input [rows, 32 * steps] times `panels` packed panels (see PackWeights).
struct GemmArgs {
  const uint16_t* input;
  int input_stride;
  int low_offset;  // kSplit: elements from the high to the low half of an input row
  int rows;
  const uint16_t* weights;
  size_t panel_stride;  // elements between panels
  int steps;
  int panels;
};

// Where activation(product + bias) goes, as activations.
struct ActivationOutput {
  uint16_t* output;
  int stride;
  int low_offset;  // kSplit
  const float* bias;
  Epilogue epilogue;  // not kNone
};

// Where the product goes as floats; with `bias`, added. `accumulate`: added to what is there.
struct FloatOutput {
  float* output;
  int stride;
  const float* bias;  // null when accumulating or when added later
  bool accumulate;
};

// output = norm(input + bias + residual) * gamma + beta, as floats and as activations.
struct NormArgs {
  kernels::NormArgs norm;
  uint16_t* activations;
  int stride;
  int low_offset;  // kSplit
};

// Floats to activations.
struct ConvertArgs {
  const float* input;  // [rows, columns] at `input_stride`
  int input_stride;
  uint16_t* output;
  int stride;
  int low_offset;  // kSplit
  int rows;
  int columns;
};

struct AttentionArgs {
  const uint16_t* query;  // [length, heads * head_size] at `stride`: head h at column h * head_size
  const uint16_t* key;
  const uint16_t* value;
  uint16_t* context;  // [length, heads * head_size] at `context_stride`
  int length;
  int heads;
  int head_size;  // 32 or 64
  int stride;
  int context_stride;
  float scale;
  char* scratch;  // AttentionScratchBytes(length, head_size), 64-byte aligned
};
size_t AttentionScratchBytes(int length, int head_size);
constexpr bool SupportsHeadSize(int head_size) { return head_size == 32 || head_size == 64; }

// The kernels of one instruction set.
struct Kernels {
  Isa isa;  // kAvx512Bf16 or kAmx
  void (*gemm_activation)(Format, const GemmArgs&, const ActivationOutput&);
  void (*gemm_float)(Format, const GemmArgs&, const FloatOutput&);
  void (*norm)(Format, const NormArgs&);
  void (*attention)(const AttentionArgs&);
  void (*convert)(Format, const ConvertArgs&);
  // Sets up this thread's tile registers where there are some; every use of the kernels lies
  // between the two.
  void (*acquire_tiles)();
  void (*release_tiles)();
};
// The kernels that compute `format` with `isa`, or null: kBf16 needs AVX-512 BF16 (its emulation
// would be slower than float), kSplit needs AMX.
const Kernels* GetKernels(Format format, Isa isa = DetectIsa());

// Packs `count` output features: out[r] points to the `in` floats (unaligned) of feature r. Layout:
// [panel][step][high, low][tile of 16 columns][depth pair][column][2], zero where padded. `packed`
// holds RoundUpToPanel(count) / kPanel * RoundUpToPanel(in) / kDepth * StepElements elements.
void PackWeights(Format format, const char* const* rows, int count, int in, uint16_t* packed);

}  // namespace contexture::kernels::mixed
