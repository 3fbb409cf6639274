#include "core/kernels/linear.h"

#include <atomic>
#include <string>

#include "core/kernels/brgemm_linear.h"
#include "core/kernels/kernel_counter.h"
#include "core/kernels/matmul_linear.h"
#include "core/kernels/onednn_isa.h"
#include "oneapi/dnnl/dnnl.hpp"

namespace contexture::kernels {
namespace {

std::atomic<size_t> kernels_created{0};

dnnl::cpu_isa OneDnnIsa(Isa isa) {
  switch (isa) {
    case Isa::kGeneric:
      return dnnl::cpu_isa::sse41;
    case Isa::kAvx2:
      return dnnl::cpu_isa::avx2;
    case Isa::kAvx512:
      return dnnl::cpu_isa::avx512_core;
    case Isa::kAvx512Vnni:
      return dnnl::cpu_isa::avx512_core_vnni;
    case Isa::kAvx512Bf16:
      return dnnl::cpu_isa::avx512_core_bf16;
    case Isa::kAmx:
      return dnnl::cpu_isa::avx512_core_amx;
  }
  return dnnl::cpu_isa::isa_default;
}

}  // namespace

void LimitOneDnnIsa() {
  static const bool done = [] {
    (void)dnnl::set_max_cpu_isa(OneDnnIsa(DetectIsa()));
    return true;
  }();
  (void)done;
}

void CountKernelCreated() { kernels_created.fetch_add(1, std::memory_order_relaxed); }
size_t NumKernelsCreated() { return kernels_created.load(std::memory_order_relaxed); }

absl::StatusOr<std::unique_ptr<Linear>> MakeLinear(LinearBackend backend, const LinearSpec& spec,
                                                   absl::Span<const LinearPart> parts) {
  LimitOneDnnIsa();
  switch (backend) {
    case LinearBackend::kMicrokernel:
      return MakeBrgemmLinear(spec, parts);
    case LinearBackend::kMatmul:
      return MakeMatmulLinear(spec, parts);
  }
  return absl::InternalError("unknown linear backend");
}

const char* OneDnnVersion() {
  static const std::string* version = [] {
    const dnnl::version_t* v = dnnl::version();
    return new std::string(std::to_string(v->major) + "." + std::to_string(v->minor) + "." +
                           std::to_string(v->patch));
  }();
  return version->c_str();
}

}  // namespace contexture::kernels
