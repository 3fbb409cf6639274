#pragma once

#include "core/kernels/amx_kernels.h"

// The functions behind amx::Kernels; for amx_dispatch.cc.
namespace contexture::kernels::amx {

void GemmActivation(Format format, const GemmArgs& gemm, const ActivationOutput& output);
void GemmFloat(Format format, const GemmArgs& gemm, const FloatOutput& output);
void NormRows(Format format, const NormArgs& args);
void ConvertRows(Format format, const ConvertArgs& args);
void AttendHeads(const AttentionArgs& args);
void AcquireTiles();
void ReleaseTiles();

}  // namespace contexture::kernels::amx
