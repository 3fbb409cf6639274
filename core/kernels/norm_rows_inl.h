// Norms of a few rows side by side. Included once per instruction set with CTX_MIXED_ISA set to the
// namespace of its translation unit; no include guard on purpose.

namespace contexture::kernels::mixed::CTX_MIXED_ISA {

inline __mmask16 Mask(int lanes) {
  return lanes >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << lanes) - 1);
}

// Rows of NormArgs from `first` on. Each step runs over all of them before the next, since a row
// alone would wait for the sum of its lanes; what a row becomes does not depend on the others.
// Pointers and sizes are copies, which stores of vectors cannot change.
template <int kRows>
class NormGroup {
 public:
  NormGroup(const NormArgs& args, int first) : norm_(args.norm) {
    const size_t size = norm_.size;
    for (int r = 0; r < kRows; ++r) {
      const size_t row = static_cast<size_t>(first) + r;
      input_[r] = norm_.input + row * StrideOr(args.input_stride, norm_.size);
      residual_[r] = norm_.residual == nullptr ? nullptr : norm_.residual + row * size;
      output_[r] = norm_.output + row * StrideOr(args.output_stride, norm_.size);
      sum_[r] = args.sum == nullptr ? output_[r] : args.sum + row * size;
      activations_[r] =
          args.activations == nullptr ? nullptr : args.activations + row * args.stride;
    }
    Add();
    Measure();
  }

  // Stores the output, calling body(row of the group, column, values) for each vector of it.
  template <typename Body>
  void Finish(const Body& body) const {
    const NormGroup own = *this;
    own.ForEachVector([&](int c, __mmask16 mask) {
      const Vector gamma = _mm512_maskz_loadu_ps(mask, own.norm_.gamma + c);
      const Vector beta = _mm512_maskz_loadu_ps(mask, own.norm_.beta + c);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const Vector d = _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, own.sum_[r] + c), own.mean_[r]);
        const Vector x = _mm512_maskz_fmadd_ps(mask, _mm512_mul_ps(d, own.scale_[r]), gamma, beta);
        _mm512_mask_storeu_ps(own.output_[r] + c, mask, x);
        body(r, c, x);
      }
    });
  }

  float* output(int r) const { return output_[r]; }
  uint16_t* activations(int r) const { return activations_[r]; }

 private:
  // Stores input + bias + residual and takes the mean.
  void Add() {
    const NormGroup own = *this;
    const float* bias = own.norm_.bias;
    Vector sums[kRows];
    for (Vector& sum : sums) sum = _mm512_setzero_ps();
    own.ForEachVector([&](int c, __mmask16 mask) {
      const Vector shared =
          bias == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(mask, bias + c);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        Vector x = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, own.input_[r] + c), shared);
        if (own.residual_[r] != nullptr) {
          x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(mask, own.residual_[r] + c));
        }
        _mm512_mask_storeu_ps(own.sum_[r] + c, mask, x);
        sums[r] = _mm512_add_ps(sums[r], x);
      }
    });
    for (int r = 0; r < kRows; ++r) {
      const float mean = _mm512_reduce_add_ps(sums[r]) / static_cast<float>(norm_.size);
      mean_[r] = _mm512_set1_ps(norm_.subtract_mean ? mean : 0.0f);
    }
  }

  void Measure() {
    Vector squares[kRows];
    for (Vector& sum : squares) sum = _mm512_setzero_ps();
    ForEachVector([&](int c, __mmask16 mask) {
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const Vector d =
            _mm512_maskz_sub_ps(mask, _mm512_maskz_loadu_ps(mask, sum_[r] + c), mean_[r]);
        squares[r] = _mm512_fmadd_ps(d, d, squares[r]);
      }
    });
    for (int r = 0; r < kRows; ++r) {
      const float variance = _mm512_reduce_add_ps(squares[r]) / static_cast<float>(norm_.size);
      scale_[r] = _mm512_set1_ps(1.0f / __builtin_sqrtf(variance + norm_.epsilon));
    }
  }

  // Calls body(column, mask); a constant mask but for a last part of a vector.
  template <typename Body>
  void ForEachVector(const Body& body) const {
    const int size = norm_.size;
    int c = 0;
    for (; c + 16 <= size; c += 16) body(c, static_cast<__mmask16>(0xffff));
    if (c < size) body(c, Mask(size - c));
  }

  const kernels::NormArgs norm_;
  const float* input_[kRows];
  const float* residual_[kRows];
  float* sum_[kRows];
  float* output_[kRows];
  uint16_t* activations_[kRows];
  Vector mean_[kRows], scale_[kRows];
};

// Calls body(group, number of rows) for all rows.
template <typename Body>
inline void ForEachNormGroup(const NormArgs& args, const Body& body) {
  constexpr int kTogether = 4;
  int row = 0;
  for (; row + kTogether <= args.norm.rows; row += kTogether) {
    const NormGroup<kTogether> group(args, row);
    body(group, std::integral_constant<int, kTogether>());
  }
  for (; row < args.norm.rows; ++row) {
    const NormGroup<1> group(args, row);
    body(group, std::integral_constant<int, 1>());
  }
}

}  // namespace contexture::kernels::mixed::CTX_MIXED_ISA
