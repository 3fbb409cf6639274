#include "core/kernels/matmul_linear.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "core/base/aligned_buffer.h"
#include "core/kernels/kernel_counter.h"
#include "core/kernels/stacked_weights.h"
#include "oneapi/dnnl/dnnl.hpp"

namespace contexture::kernels {
namespace {

using dnnl::memory;

// Every product is of this many rows, the last ones filled up with zeros: oneDNN may order a row's
// sums differently for another number of rows, and for rows that are left over by its blocks of 2,
// 3, 4, 6, 8 or 12 rows, all of which divide 24.
constexpr int kPanelRows = 24;

// A thread's memory for oneDNN's scratch and for panels that are not full; grows to what it is
// asked for.
struct ThreadScratch {
  std::vector<char> scratchpad;
  std::vector<float> input, output;
};
template <typename T>
T* AtLeast(std::vector<T>& buffer, size_t size) {
  if (buffer.size() < size) buffer.resize(size);
  return buffer.data();
}
ThreadScratch& LocalScratch() {
  thread_local ThreadScratch scratch;
  return scratch;
}

class MatmulLinear : public Linear {
 public:
  MatmulLinear(const LinearSpec& spec, absl::Span<const LinearPart> parts)
      : spec_(spec),
        vector_kernels_(GetVectorKernels(spec.isa)),
        engine_(dnnl::engine::kind::cpu, 0) {
    const StackedWeights stacked(parts);
    bias_ = stacked.Bias();
    const auto description = Describe();
    weight_desc_ = description.weights_desc();
    input_desc_ = description.src_desc();
    output_desc_ = description.dst_desc();
    scratch_desc_ = description.scratchpad_desc();
    Pack(stacked);
    primitive_ = dnnl::matmul(description);
    CountKernelCreated();
  }

  // COLUMNS are all: the primitive makes no fewer.
  void RunColumns(const float* input, int rows, const Columns&, float* output) const override {
    int row = 0;
    for (; row + kPanelRows <= rows; row += kPanelRows) {
      RunPanel(input + static_cast<size_t>(row) * spec_.input_stride,
               output + static_cast<size_t>(row) * spec_.output_stride);
    }
    if (row < rows) {
      RunPartialPanel(input + static_cast<size_t>(row) * spec_.input_stride, rows - row,
                      output + static_cast<size_t>(row) * spec_.output_stride);
    }
    vector_kernels_.epilogue(
        {output, bias_.data(), rows, spec_.out_features, spec_.output_stride, spec_.epilogue});
  }
  Layout layout() const override {
    return {spec_.out_features, spec_.input_stride, spec_.output_stride, kPanelRows,
            spec_.out_features};
  }
  const float* bias() const override { return bias_.data(); }
  size_t weight_bytes() const override { return weight_desc_.get_size() + bias_.bytes(); }

 private:
  memory::desc Rows(int columns, int stride) const {
    return memory::desc({kPanelRows, columns}, memory::data_type::f32, memory::dims{stride, 1});
  }
  dnnl::matmul::primitive_desc Describe() const {
    dnnl::primitive_attr attributes;
    // Memory of the library's own would belong to the thread that made the primitive.
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const memory::desc any({spec_.in_features, spec_.out_features}, memory::data_type::f32,
                           memory::format_tag::any);
    return dnnl::matmul::primitive_desc(engine_, Rows(spec_.in_features, spec_.input_stride), any,
                                        Rows(spec_.out_features, spec_.output_stride), attributes);
  }

  void Pack(const StackedWeights& stacked) {
    AlignedBuffer<float> plain(static_cast<size_t>(spec_.out_features) * spec_.in_features);
    for (int out = 0; out < spec_.out_features; ++out) {
      std::memcpy(plain.data() + static_cast<size_t>(out) * spec_.in_features, stacked.Row(out),
                  static_cast<size_t>(spec_.in_features) * sizeof(float));
    }
    // [out, in] row-major is [in, out] column-major.
    const memory::desc desc({spec_.in_features, spec_.out_features}, memory::data_type::f32,
                            memory::format_tag::ba);
    memory source(desc, engine_, plain.data());
    packed_ = AlignedBuffer<char>(weight_desc_.get_size());
    memory target(weight_desc_, engine_, packed_.data());
    dnnl::stream stream(engine_);
    dnnl::reorder(source, target).execute(stream, source, target);
    stream.wait();
  }

  void RunPanel(const float* input, float* output) const {
    char* scratch = AtLeast(LocalScratch().scratchpad, scratch_desc_.get_size());
    dnnl::stream stream(engine_);
    primitive_.execute(
        stream,
        {{DNNL_ARG_SRC, memory(input_desc_, engine_, const_cast<float*>(input))},
         {DNNL_ARG_WEIGHTS, memory(weight_desc_, engine_, const_cast<char*>(packed_.data()))},
         {DNNL_ARG_DST, memory(output_desc_, engine_, output)},
         {DNNL_ARG_SCRATCHPAD, memory(scratch_desc_, engine_, scratch)}});
  }

  void RunPartialPanel(const float* input, int rows, float* output) const {
    ThreadScratch& local = LocalScratch();
    const size_t in = spec_.input_stride, out = spec_.output_stride;
    float* from = AtLeast(local.input, kPanelRows * in);
    float* to = AtLeast(local.output, kPanelRows * out);
    std::fill(from, from + kPanelRows * in, 0.0f);
    for (int r = 0; r < rows; ++r) {
      std::memcpy(from + r * in, input + r * in, spec_.in_features * sizeof(float));
    }
    RunPanel(from, to);
    for (int r = 0; r < rows; ++r) {
      std::memcpy(output + r * out, to + r * out, spec_.out_features * sizeof(float));
    }
  }

  const LinearSpec spec_;
  const VectorKernels& vector_kernels_;
  dnnl::engine engine_;
  memory::desc input_desc_, weight_desc_, output_desc_, scratch_desc_;
  AlignedBuffer<char> packed_;
  AlignedBuffer<float> bias_;
  dnnl::matmul primitive_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Linear>> MakeMatmulLinear(const LinearSpec& spec,
                                                         absl::Span<const LinearPart> parts) {
  try {
    return std::make_unique<MatmulLinear>(spec, parts);
  } catch (const dnnl::error& error) {
    return absl::InternalError(std::string("oneDNN matmul: ") + error.what());
  }
}

}  // namespace contexture::kernels
