#pragma once

#include "core/kernels/amx_kernels.h"

// The functions behind amx::Kernels; for amx_dispatch.cc.
namespace contexture::kernels::amx {

void GemmActivation(Format format, const GemmArgs& gemm, const ActivationOutput& output);
void GemmFloat(Format format, const GemmArgs& gemm, const FloatOutput& output);
void NormRows(Format format, const NormArgs& args);
void ConvertRows(Format format, const float* input, int rows, int columns, int input_stride,
                 uint16_t* output, int stride, int low_offset);
void AttendHeads(const AttentionArgs& args);
void AcquireTiles();
void ReleaseTiles();

}  // namespace contexture::kernels::amx
