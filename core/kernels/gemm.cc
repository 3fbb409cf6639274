#include "core/kernels/gemm.h"

#include "absl/strings/str_cat.h"
#include "core/kernels/onednn_isa.h"
#include "oneapi/dnnl/dnnl.h"

namespace contexture::kernels {

absl::Status Gemm(const GemmArgs& args) {
  LimitOneDnnIsa();
  const dnnl_status_t status =
      dnnl_sgemm('N', args.transpose_b ? 'T' : 'N', args.rows, args.columns, args.depth, args.scale,
                 args.a, args.a_stride, args.b, args.b_stride, 0.0f, args.c, args.c_stride);
  if (status == dnnl_success) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("oneDNN refuses a product of ", args.rows, " x ",
                                          args.depth, " and ", args.depth, " x ", args.columns,
                                          ": status ", static_cast<int>(status)));
}

}  // namespace contexture::kernels
