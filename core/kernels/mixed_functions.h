#pragma once

#include "core/kernels/mixed_kernels.h"

// The functions behind the tables of mixed_dispatch.cc, each compiled for its instruction set.
namespace contexture::kernels::mixed {

constexpr int StrideOr(int stride, int size) { return stride == 0 ? size : stride; }

// AVX-512 BF16.
void NormRows(Format format, const NormArgs& args);
void ConvertRows(Format format, const ConvertArgs& args);

namespace amx {
void GemmActivation(Format format, const GemmArgs& gemm, const ActivationOutput& output);
void GemmFloat(Format format, const GemmArgs& gemm, const FloatOutput& output);
void AttendHeads(const AttentionArgs& args);
void AcquireTiles();
void ReleaseTiles();
}  // namespace amx

namespace amx_int8 {  // Format::kInt8 alone; the same bits as vnni
void GemmActivation(Format format, const GemmArgs& gemm, const ActivationOutput& output);
void GemmFloat(Format format, const GemmArgs& gemm, const FloatOutput& output);
}  // namespace amx_int8

namespace avx512 {  // AVX-512 BF16; Format::kBf16 alone
void GemmActivation(Format format, const GemmArgs& gemm, const ActivationOutput& output);
void GemmFloat(Format format, const GemmArgs& gemm, const FloatOutput& output);
void AttendHeads(const AttentionArgs& args);
}  // namespace avx512

namespace vnni {  // AVX-512 VNNI; Format::kInt8 alone
void GemmActivation(Format format, const GemmArgs& gemm, const ActivationOutput& output);
void GemmFloat(Format format, const GemmArgs& gemm, const FloatOutput& output);
void NormRows(Format format, const NormArgs& args);
void ConvertRows(Format format, const ConvertArgs& args);
}  // namespace vnni

}  // namespace contexture::kernels::mixed
