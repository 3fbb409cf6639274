// The rate of each kernel on the shapes of all-MiniLM-L6-v2: `kernels_benchmark`, with Google
// Benchmark's own options (--benchmark_filter=...). CONTEXTURE_MAX_ISA limits the instruction set.

#include <benchmark/benchmark.h>

#include <cmath>

#include "core/kernels/linear.h"
#include "core/kernels/mixed_kernels.h"
#include "core/kernels/mixed_linear.h"
#include "core/kernels/vector_kernels.h"
#include "tests/core/kernels/kernel_test_util.h"

namespace contexture::kernels {
namespace {

constexpr int kHidden = 384, kInner = 1536, kHeads = 12, kHeadSize = 32;

TensorView Matrix(const AlignedBuffer<float>& data, int rows, int columns) {
  return {DataType::kFloat32, {rows, columns}, data.data()};
}

void SetFlops(benchmark::State& state, double flops) {
  state.counters["flop/s"] = benchmark::Counter(flops * static_cast<double>(state.iterations()),
                                                benchmark::Counter::kIsRate);
}

// Arguments: rows, inputs, outputs.
template <LinearBackend kBackend>
void BM_FloatLinear(benchmark::State& state) {
  const int rows = static_cast<int>(state.range(0)), in = static_cast<int>(state.range(1));
  const int out = static_cast<int>(state.range(2));
  const auto weight = RandomFloats(static_cast<size_t>(in) * out, 1);
  const auto x = RandomFloats(static_cast<size_t>(rows) * in, 2);
  const LinearPart part = {Matrix(weight, out, in), {}};
  auto linear =
      MakeLinear(kBackend, {in, out, in, out, Epilogue::kBiasGeluErf, DetectIsa()}, {&part, 1});
  if (!linear.ok()) return state.SkipWithError(std::string(linear.status().message()).c_str());
  AlignedBuffer<float> y(static_cast<size_t>(rows) * out);
  for (auto _ : state) (*linear)->Run(x.data(), rows, y.data());
  SetFlops(state, 2.0 * rows * in * out);
}

template <mixed::Format kFormat>
void BM_MixedGemm(benchmark::State& state) {
  const mixed::Kernels* kernels = mixed::GetKernels(kFormat);
  if (kernels == nullptr) return state.SkipWithError("the CPU lacks the instructions");
  const int rows = static_cast<int>(state.range(0)), in = static_cast<int>(state.range(1));
  const int out = static_cast<int>(state.range(2));
  const auto weight = RandomFloats(static_cast<size_t>(in) * out, 1);
  const auto x = RandomFloats(static_cast<size_t>(rows) * in, 2);
  const LinearPart part = {Matrix(weight, out, in), {}};
  const mixed::MixedLinear linear(kFormat, {&part, 1});
  const int stride = mixed::RowStride(kFormat, in), low_offset = mixed::LowOffset(kFormat, in);
  const size_t padded_rows = rows + mixed::kSpareRows;
  AlignedBuffer<uint16_t> input(padded_rows * stride);
  AlignedBuffer<float> y(padded_rows * out);
  kernels->acquire_tiles();
  kernels->convert(kFormat, {x.data(), in, input.data(), stride, low_offset, rows, in, nullptr});
  mixed::GemmArgs gemm = linear.Columns(0, out);
  gemm.input = input.data();
  gemm.input_stride = stride;
  gemm.low_offset = low_offset;
  gemm.rows = rows;
  for (auto _ : state) kernels->gemm_float(kFormat, gemm, {y.data(), out, nullptr, false});
  kernels->release_tiles();
  SetFlops(state, 2.0 * rows * in * out);
}

void Shapes(benchmark::internal::Benchmark* benchmark) {
  for (int rows : {16, 128}) {
    benchmark->Args({rows, kHidden, 3 * kHidden});
    benchmark->Args({rows, kHidden, kInner});
    benchmark->Args({rows, kInner, kHidden});
  }
}
BENCHMARK(BM_FloatLinear<LinearBackend::kMicrokernel>)->Apply(Shapes);
BENCHMARK(BM_FloatLinear<LinearBackend::kMatmul>)->Apply(Shapes);
BENCHMARK(BM_MixedGemm<mixed::Format::kBf16>)->Apply(Shapes);
BENCHMARK(BM_MixedGemm<mixed::Format::kSplit>)->Apply(Shapes);
BENCHMARK(BM_MixedGemm<mixed::Format::kInt8>)->Apply(Shapes);

// Argument: the sequence's length. All heads of one layer.
void BM_FloatAttention(benchmark::State& state) {
  const int length = static_cast<int>(state.range(0)), stride = 3 * kHidden;
  const auto qkv = RandomFloats(static_cast<size_t>(length) * stride, 1);
  AlignedBuffer<float> context(static_cast<size_t>(length) * kHidden);
  AlignedBuffer<float> scratch(AttentionScratchFloats(length, kHeadSize));
  const VectorKernels& kernels = GetVectorKernels(DetectIsa());
  for (auto _ : state) {
    for (int head = 0; head < kHeads; ++head) {
      const float* query = qkv.data() + static_cast<size_t>(head) * kHeadSize;
      kernels.attention({.query = query,
                         .key = query + kHidden,
                         .value = query + 2 * kHidden,
                         .context = context.data() + static_cast<size_t>(head) * kHeadSize,
                         .query_length = length,
                         .key_length = length,
                         .head_size = kHeadSize,
                         .stride = stride,
                         .context_stride = kHidden,
                         .scale = 1.0f / std::sqrt(static_cast<float>(kHeadSize)),
                         .causal = false,
                         .scratch = scratch.data()});
    }
  }
  SetFlops(state, 4.0 * length * length * kHidden);
}
BENCHMARK(BM_FloatAttention)->Arg(24)->Arg(128)->Arg(512);

void BM_Bf16Attention(benchmark::State& state) {
  const mixed::Kernels* kernels = mixed::GetKernels(mixed::Format::kBf16);
  if (kernels == nullptr) return state.SkipWithError("the CPU lacks the instructions");
  const int length = static_cast<int>(state.range(0)), stride = 3 * kHidden;
  const auto floats = RandomFloats(static_cast<size_t>(length) * stride, 1);
  const int context_stride = mixed::RowStride(mixed::Format::kBf16, kHidden);
  const size_t padded_length = length + mixed::kSpareRows;
  AlignedBuffer<uint16_t> qkv(padded_length * stride), context(padded_length * context_stride);
  AlignedBuffer<char> scratch(mixed::AttentionScratchBytes(length, kHeadSize));
  kernels->acquire_tiles();
  kernels->convert(mixed::Format::kBf16,
                   {floats.data(), stride, qkv.data(), stride, 0, length, stride, nullptr});
  for (auto _ : state) {
    kernels->attention({.query = qkv.data(),
                        .key = qkv.data() + kHidden,
                        .value = qkv.data() + 2 * kHidden,
                        .context = context.data(),
                        .length = length,
                        .heads = kHeads,
                        .head_size = kHeadSize,
                        .stride = stride,
                        .context_stride = context_stride,
                        .scale = 1.0f / std::sqrt(static_cast<float>(kHeadSize)),
                        .scratch = scratch.data()});
  }
  kernels->release_tiles();
  SetFlops(state, 4.0 * length * length * kHidden);
}
BENCHMARK(BM_Bf16Attention)->Arg(24)->Arg(128)->Arg(512);

void BM_Norm(benchmark::State& state) {
  const int rows = 128;
  const auto input = RandomFloats(static_cast<size_t>(rows) * kHidden, 1);
  const auto gamma = RandomFloats(kHidden, 2);
  AlignedBuffer<float> output(input.size());
  const VectorKernels& kernels = GetVectorKernels(DetectIsa());
  for (auto _ : state) {
    kernels.norm({input.data(), gamma.data(), input.data(), gamma.data(), gamma.data(),
                  output.data(), rows, kHidden, 1e-12f});
  }
  state.SetItemsProcessed(state.iterations() * rows * kHidden);
}
BENCHMARK(BM_Norm);

// Bias, residual, norm and what the next linear layer takes.
template <mixed::Format kFormat>
void BM_MixedNorm(benchmark::State& state) {
  const mixed::Kernels* kernels = mixed::GetKernels(kFormat);
  if (kernels == nullptr) return state.SkipWithError("the CPU lacks the instructions");
  const int rows = 128, stride = mixed::RowStride(kFormat, kHidden);
  const auto input = RandomFloats(rows * kHidden, 1);
  const auto gamma = RandomFloats(kHidden, 2);
  AlignedBuffer<float> output(input.size());
  AlignedBuffer<uint16_t> activations(static_cast<size_t>(rows + mixed::kSpareRows) * stride);
  const kernels::NormArgs norm = {input.data(), gamma.data(), input.data(),
                                  gamma.data(), gamma.data(), output.data(),
                                  rows,         kHidden,      1e-12f};
  for (auto _ : state) {
    kernels->norm(kFormat, {norm, activations.data(), stride, mixed::LowOffset(kFormat, kHidden),
                            gamma.data()});
  }
  state.SetItemsProcessed(state.iterations() * rows * kHidden);
}
BENCHMARK(BM_MixedNorm<mixed::Format::kBf16>);
BENCHMARK(BM_MixedNorm<mixed::Format::kInt8>);

// A product whose activated output is what the next linear layer takes.
template <mixed::Format kFormat>
void BM_MixedGelu(benchmark::State& state) {
  const mixed::Kernels* kernels = mixed::GetKernels(kFormat);
  if (kernels == nullptr) return state.SkipWithError("the CPU lacks the instructions");
  const int rows = 256, out = mixed::kMaxQuantizedColumns;
  const int stride = mixed::RowStride(kFormat, kHidden);
  const int low_offset = mixed::LowOffset(kFormat, kHidden);
  const auto weights = RandomFloats(static_cast<size_t>(out) * kHidden, 1);
  const LinearPart part = {Matrix(weights, out, kHidden), {}};
  const mixed::MixedLinear linear(kFormat, {&part, 1}, {{}, kHidden, 128});
  const auto x = RandomFloats(static_cast<size_t>(rows) * kHidden, 3);
  AlignedBuffer<uint16_t> input(static_cast<size_t>(rows + mixed::kSpareRows) * stride);
  AlignedBuffer<uint16_t> output(input.size());
  kernels->acquire_tiles();
  kernels->convert(kFormat,
                   {x.data(), kHidden, input.data(), stride, low_offset, rows, kHidden, nullptr});
  mixed::GemmArgs gemm = linear.Columns(0, out);
  gemm.input = input.data();
  gemm.input_stride = stride;
  gemm.low_offset = low_offset;
  gemm.rows = rows;
  for (auto _ : state) {
    kernels->gemm_activation(
        kFormat, gemm,
        {output.data(), stride, low_offset, linear.bias(), Epilogue::kBiasGeluErf, kFormat});
  }
  kernels->release_tiles();
  SetFlops(state, 2.0 * rows * kHidden * out);
}
BENCHMARK(BM_MixedGelu<mixed::Format::kBf16>);
BENCHMARK(BM_MixedGelu<mixed::Format::kInt8>);

// Argument: the epilogue. GELU and its like, in place.
void BM_Epilogue(benchmark::State& state) {
  const int rows = 32;
  auto tile = RandomFloats(static_cast<size_t>(rows) * kInner, 1);
  const auto bias = RandomFloats(kInner, 2);
  const VectorKernels& kernels = GetVectorKernels(DetectIsa());
  const auto epilogue = static_cast<Epilogue>(state.range(0));
  for (auto _ : state) {
    kernels.epilogue({tile.data(), bias.data(), rows, kInner, kInner, epilogue});
  }
  state.SetItemsProcessed(state.iterations() * rows * kInner);
}
BENCHMARK(BM_Epilogue)
    ->Arg(static_cast<int>(Epilogue::kBias))
    ->Arg(static_cast<int>(Epilogue::kBiasGeluErf))
    ->Arg(static_cast<int>(Epilogue::kBiasGeluTanh));

}  // namespace
}  // namespace contexture::kernels
