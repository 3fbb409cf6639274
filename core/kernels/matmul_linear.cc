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

// Rows are cut into panels of these heights, so that few primitives serve any number of rows. The
// order of a row's sums is oneDNN's; for these heights it is the same (the tests compare the bits).
constexpr int kPanelHeights[] = {64, 32, 16, 8, 4, 2, 1};

struct Panel {
  int rows;
  memory::desc input, output, scratch;
  dnnl::matmul primitive;
};

class MatmulLinear : public Linear {
 public:
  MatmulLinear(const LinearSpec& spec, absl::Span<const LinearPart> parts)
      : spec_(spec),
        vector_kernels_(GetVectorKernels(spec.isa)),
        engine_(dnnl::engine::kind::cpu, 0) {
    const StackedWeights stacked(parts);
    bias_ = stacked.Bias();
    // The packed layout is chosen for the tallest panel; the others are made for that layout.
    const auto tallest = Describe(kPanelHeights[0], AnyWeights());
    weight_desc_ = tallest.weights_desc();
    Pack(stacked);
    for (int rows : kPanelHeights) AddPanel(rows);
  }

  void Run(const float* input, int rows, float* output) const override {
    int row = 0;
    for (const Panel& panel : panels_) {
      for (; rows - row >= panel.rows; row += panel.rows) {
        RunPanel(panel, input + static_cast<size_t>(row) * spec_.input_stride,
                 output + static_cast<size_t>(row) * spec_.output_stride);
      }
    }
    vector_kernels_.epilogue(
        {output, bias_.data(), rows, spec_.out_features, spec_.output_stride, spec_.epilogue});
  }
  const float* bias() const override { return bias_.data(); }
  size_t weight_bytes() const override { return weight_desc_.get_size() + bias_.bytes(); }

 private:
  memory::desc Rows(int rows, int columns, int stride) const {
    return memory::desc({rows, columns}, memory::data_type::f32, memory::dims{stride, 1});
  }
  memory::desc AnyWeights() const {
    return memory::desc({spec_.in_features, spec_.out_features}, memory::data_type::f32,
                        memory::format_tag::any);
  }
  dnnl::matmul::primitive_desc Describe(int rows, const memory::desc& weights) const {
    dnnl::primitive_attr attributes;
    // Memory of the library's own would belong to the thread that made the primitive.
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    return dnnl::matmul::primitive_desc(
        engine_, Rows(rows, spec_.in_features, spec_.input_stride), weights,
        Rows(rows, spec_.out_features, spec_.output_stride), attributes);
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

  void AddPanel(int rows) {
    const auto description = Describe(rows, weight_desc_);
    panels_.push_back({rows, description.src_desc(), description.dst_desc(),
                       description.scratchpad_desc(), dnnl::matmul(description)});
    CountKernelCreated();
  }

  void RunPanel(const Panel& panel, const float* input, float* output) const {
    thread_local std::vector<char> scratch;
    if (scratch.size() < panel.scratch.get_size()) scratch.resize(panel.scratch.get_size());
    dnnl::stream stream(engine_);
    panel.primitive.execute(
        stream,
        {{DNNL_ARG_SRC, memory(panel.input, engine_, const_cast<float*>(input))},
         {DNNL_ARG_WEIGHTS, memory(weight_desc_, engine_, const_cast<char*>(packed_.data()))},
         {DNNL_ARG_DST, memory(panel.output, engine_, output)},
         {DNNL_ARG_SCRATCHPAD, memory(panel.scratch, engine_, scratch.data())}});
  }

  const LinearSpec spec_;
  const VectorKernels& vector_kernels_;
  dnnl::engine engine_;
  memory::desc weight_desc_;
  AlignedBuffer<char> packed_;
  AlignedBuffer<float> bias_;
  std::vector<Panel> panels_;  // tallest first
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
