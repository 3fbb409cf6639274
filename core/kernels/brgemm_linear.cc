#include "core/kernels/brgemm_linear.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "core/base/aligned_buffer.h"
#include "core/base/status_macros.h"
#include "core/kernels/brgemm_kernel.h"
#include "core/kernels/stacked_weights.h"

namespace contexture::kernels {
namespace {

// Rows and columns of a kernel's tile, and steps of its rows. oneDNN keeps 6 rows of 64 columns in
// AVX-512's registers and takes as long for 1 or 2 rows as for 3: tiles whose height is a multiple
// of 6 are 4 to 8 % faster than 32 x 64, on AVX2 too. There are few enough heights to have one
// exact kernel each, made in 40 us.
constexpr int kRowStep = 6;
constexpr int kPanelRows = 11 * kRowStep;
constexpr int kPanelColumns = 64;
// Rows that share one pass over a weight panel while it is in the cache.
constexpr int kBlockRows = 5 * kPanelRows;
// The rows of a tile and a panel of weights as deep as 4096 are 2 MiB, more than an L2 cache, and
// cost a third of the speed. Such products are summed in parts of at most kChunk; shallower ones
// gain nothing.
constexpr int kDeep = 2048;
constexpr int kChunk = 1024;

// The depth of all parts of a product but the last, which is no deeper.
int ChunkOf(int depth) {
  if (depth <= kDeep) return depth;
  const int parts = (depth + kChunk - 1) / kChunk;
  return ((depth + parts - 1) / parts + 15) / 16 * 16;
}

class BrgemmLinear : public Linear {
 public:
  explicit BrgemmLinear(const LinearSpec& spec)
      : spec_(spec),
        chunk_(ChunkOf(spec.in_features)),
        vector_kernels_(GetVectorKernels(spec.isa)) {}

  absl::Status Init(absl::Span<const LinearPart> parts) {
    const StackedWeights stacked(parts);
    bias_ = stacked.Bias();
    Pack(stacked);
    CTX_RETURN_IF_ERROR(MakePanel(kPanelColumns, full_));
    return MakePanel(spec_.out_features % kPanelColumns, tail_);
  }

  void RunColumns(const float* input, int rows, const Columns& columns,
                  float* output) const override {
    for (int row = 0; row < rows; row += kBlockRows) {
      RunBlock(input + static_cast<size_t>(row) * spec_.input_stride,
               std::min(kBlockRows, rows - row), columns,
               output + static_cast<size_t>(row) * spec_.output_stride);
    }
  }
  Layout layout() const override {
    return {spec_.out_features, spec_.input_stride, spec_.output_stride, kRowStep, kPanelColumns};
  }
  const float* bias() const override { return bias_.data(); }
  size_t weight_bytes() const override { return packed_.bytes() + bias_.bytes(); }

 private:
  using Kernels = std::vector<std::shared_ptr<const BrgemmKernel>>;  // by number of rows - 1
  struct Panel {
    Kernels first;   // sets the output
    Kernels middle;  // of as deep a part, which adds to it
    Kernels last;    // likewise, of the depth that is left
  };

  // packed_[panel][in][64]: a panel is the B matrix of a kernel; columns past out_features are
  // zero.
  void Pack(const StackedWeights& stacked) {
    const int panels = (spec_.out_features + kPanelColumns - 1) / kPanelColumns;
    packed_ = AlignedBuffer<float>(static_cast<size_t>(panels) * spec_.in_features * kPanelColumns);
    for (int out = 0; out < spec_.out_features; ++out) {
      const char* row = stacked.Row(out);
      float* column = packed_.data() + PanelOffset(out) + out % kPanelColumns;
      for (int in = 0; in < spec_.in_features; ++in) {
        std::memcpy(column + static_cast<size_t>(in) * kPanelColumns, row + in * sizeof(float),
                    sizeof(float));
      }
    }
  }
  size_t PanelOffset(int column) const {
    return static_cast<size_t>(column / kPanelColumns) * spec_.in_features * kPanelColumns;
  }

  absl::Status MakePanel(int columns, Panel& panel) const {
    if (columns == 0 || columns > spec_.out_features) return absl::OkStatus();
    CTX_RETURN_IF_ERROR(MakeKernels(columns, chunk_, /*accumulate=*/false, panel.first));
    if (chunk_ == spec_.in_features) return absl::OkStatus();
    CTX_RETURN_IF_ERROR(MakeKernels(columns, chunk_, /*accumulate=*/true, panel.middle));
    const int left = (spec_.in_features - 1) % chunk_ + 1;
    return MakeKernels(columns, left, /*accumulate=*/true, panel.last);
  }

  absl::Status MakeKernels(int columns, int depth, bool accumulate, Kernels& kernels) const {
    for (int rows = 1; rows <= kPanelRows; ++rows) {
      auto kernel = SharedBrgemmKernel({rows, columns, depth, spec_.input_stride, kPanelColumns,
                                        spec_.output_stride, accumulate});
      if (!kernel.ok()) return kernel.status();
      kernels.push_back(*std::move(kernel));
    }
    return absl::OkStatus();
  }

  void RunBlock(const float* input, int rows, const Columns& all, float* output) const {
    for (int depth = 0; depth < spec_.in_features; depth += chunk_) {
      for (int column = all.first; column < all.first + all.count; column += kPanelColumns) {
        RunPanel(input, rows, {depth, column}, output);
      }
    }
  }

  // A part of the depth of a panel's columns.
  struct Part {
    int depth, column;
  };
  void RunPanel(const float* input, int rows, const Part& part, float* output) const {
    const int columns = std::min(kPanelColumns, spec_.out_features - part.column);
    const Panel& panel = columns == kPanelColumns ? full_ : tail_;
    const bool last = part.depth + chunk_ >= spec_.in_features;
    const Kernels& kernels = part.depth == 0 ? panel.first : last ? panel.last : panel.middle;
    const float* weights =
        packed_.data() + PanelOffset(part.column) + static_cast<size_t>(part.depth) * kPanelColumns;
    for (int row = 0; row < rows; row += kPanelRows) {
      const int height = std::min(kPanelRows, rows - row);
      float* tile = output + static_cast<size_t>(row) * spec_.output_stride + part.column;
      kernels[height - 1]->Run(input + static_cast<size_t>(row) * spec_.input_stride + part.depth,
                               weights, tile);
      if (!last) continue;
      vector_kernels_.epilogue(
          {tile, bias_.data() + part.column, height, columns, spec_.output_stride, spec_.epilogue});
    }
  }

  const LinearSpec spec_;
  const int chunk_;
  const VectorKernels& vector_kernels_;
  AlignedBuffer<float> packed_;
  AlignedBuffer<float> bias_;
  Panel full_;  // of kPanelColumns
  Panel tail_;  // for the last, narrower panel
};

}  // namespace

absl::StatusOr<std::unique_ptr<Linear>> MakeBrgemmLinear(const LinearSpec& spec,
                                                         absl::Span<const LinearPart> parts) {
  auto linear = std::make_unique<BrgemmLinear>(spec);
  CTX_RETURN_IF_ERROR(linear->Init(parts));
  return linear;
}

}  // namespace contexture::kernels
