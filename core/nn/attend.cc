#include "core/nn/attend.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/kernels/gemm.h"

namespace contexture::nn {
namespace {

// Queries whose scores lie in the cache together.
constexpr int kBlockQueries = 64;

// RESULT is the projection of X, in BUFFER; X itself when there is nothing to project.
absl::Status Project(const MatrixView& x, const Projection& projection, std::vector<float>& buffer,
                     MatrixView& result) {
  result = x;
  if (!projection.weight.present()) return absl::OkStatus();
  const int out = projection.weight.rows;
  buffer.resize(static_cast<size_t>(x.rows) * out);
  CTX_RETURN_IF_ERROR(kernels::Gemm({.a = x.data,
                                     .a_stride = x.columns,
                                     .b = projection.weight.data,
                                     .b_stride = x.columns,
                                     .transpose_b = true,
                                     .c = buffer.data(),
                                     .c_stride = out,
                                     .rows = x.rows,
                                     .columns = out,
                                     .depth = x.columns,
                                     .scale = 1.0f}));
  if (projection.bias != nullptr) {
    for (size_t i = 0; i < buffer.size(); ++i) buffer[i] += projection.bias[i % out];
  }
  result = {buffer.data(), x.rows, out};
  return absl::OkStatus();
}

// Scores become weights that sum to 1; those past `keys` become 0.
void Softmax(float* row, int keys, int length) {
  const float max = *std::max_element(row, row + keys);
  double sum = 0;
  for (int j = 0; j < keys; ++j) sum += row[j] = std::exp(row[j] - max);
  const auto inverse = static_cast<float>(1.0 / sum);
  for (int j = 0; j < keys; ++j) row[j] *= inverse;
  std::fill(row + keys, row + length, 0.0f);
}

// Attention after the projections.
class HeadAttention {
 public:
  HeadAttention(const AttendArgs& args, const MatrixView& query, const MatrixView& key,
                const MatrixView& value)
      : args_(args),
        query_(query),
        key_(key),
        value_(value),
        head_size_(query.columns / args.num_heads),
        value_size_(value.columns / args.num_heads),
        scale_(args.scale.value_or(1.0f / std::sqrt(static_cast<float>(head_size_)))) {}

  // Writes CONTEXT [m, value.columns] and, where they are wanted, the weights.
  absl::Status Run(float* context) {
    if (args_.weights == nullptr) {
      scratch_.resize(static_cast<size_t>(std::min(kBlockQueries, query_.rows)) * key_.rows);
    }
    for (int head = 0; head < args_.num_heads; ++head) {
      for (int first = 0; first < query_.rows; first += kBlockQueries) {
        if (args_.cancelled != nullptr && *args_.cancelled) {
          return absl::CancelledError("the caller cancelled the request");
        }
        CTX_RETURN_IF_ERROR(RunBlock(head, first, context));
      }
    }
    return absl::OkStatus();
  }

 private:
  absl::Status RunBlock(int head, int first, float* context) {
    const int rows = std::min(kBlockQueries, query_.rows - first);
    float* weights = scratch_.data();
    if (args_.weights != nullptr) {
      weights = args_.weights + (static_cast<size_t>(head) * query_.rows + first) * key_.rows;
    }
    CTX_RETURN_IF_ERROR(kernels::Gemm(
        {.a = query_.data + static_cast<size_t>(first) * query_.columns + head * head_size_,
         .a_stride = query_.columns,
         .b = key_.data + head * head_size_,
         .b_stride = key_.columns,
         .transpose_b = true,
         .c = weights,
         .c_stride = key_.rows,
         .rows = rows,
         .columns = key_.rows,
         .depth = head_size_,
         .scale = scale_}));
    for (int r = 0; r < rows; ++r) {
      WeighRow(first + r, weights + static_cast<size_t>(r) * key_.rows);
    }
    return kernels::Gemm(
        {.a = weights,
         .a_stride = key_.rows,
         .b = value_.data + head * value_size_,
         .b_stride = value_.columns,
         .transpose_b = false,
         .c = context + static_cast<size_t>(first) * value_.columns + head * value_size_,
         .c_stride = value_.columns,
         .rows = rows,
         .columns = value_size_,
         .depth = key_.rows,
         .scale = 1.0f});
  }

  void WeighRow(int query, float* row) const {
    const int keys = args_.causal ? std::min(query + 1, key_.rows) : key_.rows;
    if (args_.mask.present()) {
      const float* mask = args_.mask.data + static_cast<size_t>(query) * key_.rows;
      for (int j = 0; j < keys; ++j) row[j] += mask[j];
    }
    Softmax(row, keys, key_.rows);
  }

  const AttendArgs& args_;
  const MatrixView query_, key_, value_;
  const int head_size_, value_size_;
  const float scale_;
  std::vector<float> scratch_;  // the weights of a block, where nobody wants them
};

}  // namespace

absl::Status Attend(const AttendArgs& args) {
  std::vector<float> query_rows, key_rows, value_rows, context_rows, output_rows;
  MatrixView query, key, value, output;
  CTX_RETURN_IF_ERROR(Project(args.query, args.query_projection, query_rows, query));
  CTX_RETURN_IF_ERROR(Project(args.key, args.key_projection, key_rows, key));
  CTX_RETURN_IF_ERROR(Project(args.value, args.value_projection, value_rows, value));
  context_rows.resize(static_cast<size_t>(query.rows) * value.columns);
  CTX_RETURN_IF_ERROR(HeadAttention(args, query, key, value).Run(context_rows.data()));
  CTX_RETURN_IF_ERROR(Project({context_rows.data(), query.rows, value.columns},
                              args.output_projection, output_rows, output));
  const size_t count = static_cast<size_t>(output.rows) * output.columns;
  std::copy_n(output.data, count, args.context);
  const float* overflow =
      std::find_if_not(output.data, output.data + count, [](float x) { return std::isfinite(x); });
  if (overflow == output.data + count) return absl::OkStatus();
  return absl::OutOfRangeError(
      absl::StrCat("the products of query ", (overflow - output.data) / output.columns,
                   " overflow: its context has ", *overflow, ", the largest float is ",
                   std::numeric_limits<float>::max()));
}

double AttendProducts(const AttendArgs& args) {
  const double m = args.query.rows, n = args.key.rows;
  const double query = args.query_projection.out(args.query.columns);
  const double value = args.value_projection.out(args.value.columns);
  // An exponential takes as long as some 64 products, a call of the matrix kernel as some 2^15.
  const double blocks = std::ceil(m / kBlockQueries);
  double products = m * n * (query + value) + args.num_heads * (64 * m * n + 65536 * blocks);
  const auto add = [&](const Projection& projection, double rows, double in) {
    if (projection.weight.present()) products += rows * in * projection.weight.rows;
  };
  add(args.query_projection, m, args.query.columns);
  add(args.key_projection, n, args.key.columns);
  add(args.value_projection, n, args.value.columns);
  add(args.output_projection, m, value);
  return products;
}

}  // namespace contexture::nn
