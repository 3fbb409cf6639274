#pragma once

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "oneapi/dnnl/dnnl_ukernel.h"

namespace contexture::kernels {

// C[m, n] = A[m, k] B[k, n] in float, or C += A B, as machine code made for these numbers by
// oneDNN's micro-kernel API (its C form: the same in 3.7 and later; a call allocates a few bytes).
// Immutable, thread safe.
struct BrgemmShape {
  int m, n, k;
  int a_stride, b_stride, c_stride;
  bool accumulate = false;  // C += A B
  bool operator==(const BrgemmShape&) const = default;
  template <typename Hash>
  friend Hash AbslHashValue(Hash hash, const BrgemmShape& s) {
    return Hash::combine(std::move(hash), s.m, s.n, s.k, s.a_stride, s.b_stride, s.c_stride,
                         s.accumulate);
  }
};

class BrgemmKernel {
 public:
  // UNIMPLEMENTED: oneDNN has no such kernels for this CPU. INTERNAL: another refusal.
  static absl::StatusOr<std::shared_ptr<const BrgemmKernel>> Create(const BrgemmShape& shape);
  ~BrgemmKernel();
  BrgemmKernel(const BrgemmKernel&) = delete;
  BrgemmKernel& operator=(const BrgemmKernel&) = delete;

  void Run(const float* a, const float* b, float* c) const;

 private:
  BrgemmKernel() = default;
  dnnl_brgemm_t handle_ = nullptr;
};

// The kernel for `shape`, made at most once while somebody holds it: the layers of a model share
// theirs. Locks; for load time only.
absl::StatusOr<std::shared_ptr<const BrgemmKernel>> SharedBrgemmKernel(const BrgemmShape& shape);

}  // namespace contexture::kernels
