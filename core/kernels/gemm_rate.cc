#include "core/kernels/gemm_rate.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <random>

#include "core/base/aligned_buffer.h"
#include "core/base/status_macros.h"
#include "core/kernels/linear.h"
#include "core/kernels/mixed_kernels.h"
#include "core/kernels/mixed_linear.h"

namespace contexture::kernels {
namespace {

constexpr int kRows = 128, kDepth = 384, kColumns = 384;

AlignedBuffer<float> RandomFloats(size_t count) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal(0.0f, 0.05f);
  AlignedBuffer<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = normal(generator);
  return values;
}

// Operations per second of the fastest of many runs.
double BestRate(double seconds, const std::function<void()>& run) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  const auto elapsed = [](Clock::time_point since) {
    return std::chrono::duration<double>(Clock::now() - since).count();
  };
  double best = 1e9;
  do {
    const auto start = Clock::now();
    for (int i = 0; i < 10; ++i) run();
    best = std::min(best, elapsed(start) / 10);
  } while (elapsed(begin) < seconds);
  return 2.0 * kRows * kDepth * kColumns / best;
}

absl::StatusOr<double> FloatRate(absl::Span<const LinearPart> parts, double seconds) {
  const LinearSpec spec = {kDepth, kColumns, kDepth, kColumns, Epilogue::kNone, DetectIsa()};
  CTX_ASSIGN_OR_RETURN(const auto linear, CreateWithBackend([&](LinearBackend backend) {
                         return MakeLinear(backend, spec, parts);
                       }));
  const AlignedBuffer<float> input = RandomFloats(static_cast<size_t>(kRows) * kDepth);
  AlignedBuffer<float> output(static_cast<size_t>(kRows) * kColumns);
  return BestRate(seconds, [&] { linear->Run(input.data(), kRows, output.data()); });
}

absl::StatusOr<double> MixedRate(mixed::Format format, absl::Span<const LinearPart> parts,
                                 double seconds) {
  const mixed::Kernels* kernels = mixed::GetKernels(format);
  if (kernels == nullptr)
    return absl::FailedPreconditionError("the CPU lacks the instructions of this format");
  const mixed::MixedLinear linear(format, parts);
  const AlignedBuffer<float> floats = RandomFloats(static_cast<size_t>(kRows) * kDepth);
  const int stride = mixed::RowStride(format, kDepth);
  AlignedBuffer<uint16_t> input(static_cast<size_t>(kRows + mixed::kSpareRows) * stride);
  AlignedBuffer<float> output(static_cast<size_t>(kRows + mixed::kSpareRows) * kColumns);
  kernels->acquire_tiles();
  const int low_offset = mixed::LowOffset(format, kDepth);
  kernels->convert(format, {.input = floats.data(),
                            .input_stride = kDepth,
                            .output = input.data(),
                            .stride = stride,
                            .low_offset = low_offset,
                            .rows = kRows,
                            .columns = kDepth,
                            .factors = nullptr});
  mixed::GemmArgs gemm = linear.Columns(0, kColumns);
  gemm.input = input.data();
  gemm.input_stride = stride;
  gemm.low_offset = low_offset;
  gemm.rows = kRows;
  const double rate = BestRate(seconds, [&] {
    kernels->gemm_float(format, gemm, {output.data(), kColumns, nullptr, false});
  });
  kernels->release_tiles();
  return rate;
}

}  // namespace

absl::StatusOr<double> MeasureGemmRate(GemmKind kind, double seconds) {
  const AlignedBuffer<float> weights = RandomFloats(static_cast<size_t>(kDepth) * kColumns);
  const LinearPart part = {{DataType::kFloat32, {kColumns, kDepth}, weights.data()}, {}};
  switch (kind) {
    case GemmKind::kFloat:
      return FloatRate({part}, seconds);
    case GemmKind::kSplit:
      return MixedRate(mixed::Format::kSplit, {part}, seconds);
    case GemmKind::kBf16:
      return MixedRate(mixed::Format::kBf16, {part}, seconds);
    case GemmKind::kInt8:
      return MixedRate(mixed::Format::kInt8, {part}, seconds);
  }
  return absl::InternalError("unknown kind");
}

}  // namespace contexture::kernels
