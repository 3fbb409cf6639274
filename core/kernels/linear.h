#pragma once

#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/kernels/vector_kernels.h"
#include "core/tensor/tensor_view.h"

namespace contexture::kernels {

// Which implementation multiplies. kMicrokernel: oneDNN's brgemm micro-kernels, generated at load
// for each height of a row panel. kMatmul: oneDNN's matmul primitive; the choice where
// micro-kernels are missing.
enum class LinearBackend { kMicrokernel, kMatmul };

// y = epilogue(x W^T + bias), with the geometry fixed so that every kernel exists before serving
// starts.
struct LinearSpec {
  int in_features = 0;
  int out_features = 0;
  int input_stride = 0;   // elements between rows of x, >= in_features
  int output_stride = 0;  // elements between rows of y, >= out_features
  Epilogue epilogue = Epilogue::kBias;
  Isa isa = Isa::kGeneric;
};

// A part of the output features, as a model file holds it: parts are stacked in order (query, key,
// value).
struct LinearPart {
  TensorView weight;  // [out, in], of a floating-point type
  TensorView bias;    // [out], likewise, or absent: zeros
};

// A linear layer with its weights packed once. Immutable and safe from many threads. Row r of the
// output depends on row r of the input alone, bit for bit, whatever `rows` is.
class Linear {
 public:
  virtual ~Linear() = default;
  // input [rows, in_features], output [rows, out_features], at the spec's strides; they must not
  // overlap. Allocates nothing itself; with kMatmul oneDNN allocates in its call.
  void Run(const float* input, int rows, float* output) const {
    RunColumns(input, rows, {0, layout().out_features}, output);
  }
  // Columns [first, first + count) of the same output alone, of whole steps but for the last of
  // the output: for several threads that make a product together.
  struct Columns {
    int first;
    int count;
  };
  virtual void RunColumns(const float* input, int rows, const Columns& columns,
                          float* output) const = 0;
  struct Layout {
    int out_features, input_stride, output_stride;  // of the spec
    // Parts of an output that are multiples of these cost no more than their share.
    int row_step, column_step;
  };
  virtual Layout layout() const = 0;
  virtual const float* bias() const = 0;  // [out_features]
  virtual size_t weight_bytes() const = 0;
};

// Packs the parts and generates the kernels. UNIMPLEMENTED: oneDNN has no micro-kernels for this
// CPU (3.7: below AVX2). INTERNAL: another refusal of oneDNN.
absl::StatusOr<std::unique_ptr<Linear>> MakeLinear(LinearBackend backend, const LinearSpec& spec,
                                                   absl::Span<const LinearPart> parts);

// What CREATE, a function of a LinearBackend, makes with micro-kernels where oneDNN has them for
// this CPU, else with its matmul primitive.
template <typename Create>
auto CreateWithBackend(Create create) {
  auto created = create(LinearBackend::kMicrokernel);
  if (!absl::IsUnimplemented(created.status())) return created;
  return create(LinearBackend::kMatmul);
}

// oneDNN's version, "3.7.2", and the best instruction set that it uses.
const char* OneDnnVersion();

// How many oneDNN kernels and primitives this process has created. Constant once models are loaded:
// a kernel created while serving is a defect.
size_t NumKernelsCreated();

}  // namespace contexture::kernels
