#include "core/kernels/brgemm_kernel.h"

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "core/kernels/kernel_counter.h"

namespace contexture::kernels {
namespace {

absl::Status Check(dnnl_status_t status, const char* step, const BrgemmShape& s) {
  if (status == dnnl_success) return absl::OkStatus();
  if (status == dnnl_unimplemented) {
    return absl::UnimplementedError("oneDNN has no float micro-kernels for this instruction set");
  }
  return absl::InternalError(
      absl::StrFormat("oneDNN brgemm %s failed with status %d for m=%d n=%d k=%d", step,
                      static_cast<int>(status), s.m, s.n, s.k));
}

absl::Mutex shared_mutex(absl::kConstInit);
using SharedKernels = absl::flat_hash_map<BrgemmShape, std::weak_ptr<const BrgemmKernel>>;
SharedKernels& Shared() ABSL_EXCLUSIVE_LOCKS_REQUIRED(shared_mutex) {
  static SharedKernels* kernels = new SharedKernels;
  return *kernels;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const BrgemmKernel>> BrgemmKernel::Create(const BrgemmShape& s) {
  std::shared_ptr<BrgemmKernel> kernel(new BrgemmKernel);
  absl::Status status =
      Check(dnnl_brgemm_create(&kernel->handle_, s.m, s.n, s.k, /*batch_size=*/1, s.a_stride,
                               s.b_stride, s.c_stride, dnnl_f32, dnnl_f32, dnnl_f32),
            "create", s);
  if (s.accumulate) {
    status.Update(Check(dnnl_brgemm_set_add_C(kernel->handle_, 1), "accumulate", s));
  }
  status.Update(Check(dnnl_brgemm_finalize(kernel->handle_), "finalize", s));
  size_t scratch = 0;
  status.Update(Check(dnnl_brgemm_get_scratchpad_size(kernel->handle_, &scratch), "scratch", s));
  status.Update(Check(dnnl_brgemm_generate(kernel->handle_), "generate", s));
  if (!status.ok()) return status;
  if (scratch != 0) {
    return absl::InternalError(
        absl::StrFormat("a float brgemm wants %d bytes of scratch", scratch));
  }
  CountKernelCreated();
  return kernel;
}

BrgemmKernel::~BrgemmKernel() {
  if (handle_ != nullptr) dnnl_brgemm_destroy(handle_);
}

void BrgemmKernel::Run(const float* a, const float* b, float* c) const {
  static constexpr dnnl_dim_t kOffsets[2] = {0, 0};
  dnnl_brgemm_execute(handle_, a, b, kOffsets, c, nullptr);
}

absl::StatusOr<std::shared_ptr<const BrgemmKernel>> SharedBrgemmKernel(const BrgemmShape& shape) {
  absl::MutexLock lock(&shared_mutex);
  SharedKernels& kernels = Shared();
  if (const auto known = kernels.find(shape); known != kernels.end()) {
    if (auto kernel = known->second.lock()) return kernel;
  }
  absl::erase_if(kernels, [](const auto& entry) { return entry.second.expired(); });
  auto kernel = BrgemmKernel::Create(shape);
  if (kernel.ok()) kernels.emplace(shape, *kernel);
  return kernel;
}

}  // namespace contexture::kernels
