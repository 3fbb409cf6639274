// What the int8 kernels of all instruction sets do with integer sums and with rows to be quantized:
// the same float operations in the same order, so the same bits. Included by each translation unit
// that quantizes, with CTX_MIXED_ISA set to its namespace; no include guard on purpose.

namespace contexture::kernels::mixed::CTX_MIXED_ISA {

// A pair of vectors for the 32 columns of a panel.
struct Columns {
  Vector left, right;
  static Columns Load(const float* values) {
    return {_mm512_loadu_ps(values), _mm512_loadu_ps(values + 16)};
  }
  void Store(float* values) const {
    _mm512_storeu_ps(values, left);
    _mm512_storeu_ps(values + 16, right);
  }
};
inline Columns MulAdd(const Columns& a, const Columns& b, const Columns& c) {
  return {_mm512_fmadd_ps(a.left, b.left, c.left), _mm512_fmadd_ps(a.right, b.right, c.right)};
}
inline Columns ToFloats(__m512i left, __m512i right) {
  return {_mm512_cvtepi32_ps(left), _mm512_cvtepi32_ps(right)};
}
inline Columns Same(float x) { return {_mm512_set1_ps(x), _mm512_set1_ps(x)}; }

// The floats of the groups of depth so far, and the sums of one more.
inline Columns AddGroup(const Columns& sums, const Columns& weight_scale, const Columns& floats) {
  return MulAdd(sums, weight_scale, floats);
}

// What belongs to the columns of a panel.
struct ColumnScales {
  Columns weight_scale;  // of the last group
  Columns column_sums;
};

// The last group added to `floats`, less the row's zeros; to be multiplied by the row's scale.
inline Columns FinishRow(const Columns& sums, const Columns& floats, const ColumnScales& columns,
                         const Quantization& row) {
  return AddGroup(sums, columns.weight_scale,
                  MulAdd(Same(static_cast<float>(-row.zero)), columns.column_sums, floats));
}

inline Quantization ReadQuantization(const GemmArgs& g, int row) {
  Quantization quantization;
  __builtin_memcpy(&quantization,
                   g.input + static_cast<size_t>(row) * g.input_stride + g.low_offset,
                   sizeof(quantization));
  return quantization;
}

// Rows that go on as bfloat16.
struct Int8Stores {
  // bfloat16, rounded to nearest even with integers: not all CPUs with VNNI convert to it.
  static __m256i NarrowHalf(Vector x) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded =
        _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512i kept = _mm512_mask_blend_epi32(nan, rounded, _mm512_set1_epi32(0x7fc00000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(kept, 16));
  }
  static void Store(Vector low, Vector high, uint16_t* output) {
    Store(low, output);
    Store(high, output + 16);
  }
  static void Store(Vector values, uint16_t* output) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(output), NarrowHalf(values));
  }
};

struct QuantizedRow {
  uint16_t* output;
  int low_offset;
  int columns;
  const float* factors;
};

// The values of a row from `column` on times their factors; zero from row.columns on.
inline Vector Scaled(const float* values, const QuantizedRow& row, int column, __mmask16 mask) {
  const Vector x = _mm512_maskz_loadu_ps(mask, values + column);
  return row.factors == nullptr
             ? x
             : _mm512_mul_ps(x, _mm512_maskz_loadu_ps(mask, row.factors + column));
}
inline __mmask16 ColumnMask(const QuantizedRow& row, int column) {
  const int left = row.columns - column;
  return left >= 16 ? static_cast<__mmask16>(0xffff)
                    : static_cast<__mmask16>(left <= 0 ? 0 : (1 << left) - 1);
}

// The smallest and the largest value of a row, and 0.
struct RowRange {
  Vector low = _mm512_setzero_ps(), high = _mm512_setzero_ps();
  Vector unfit = _mm512_setzero_ps();  // zero, unless a value is not finite

  void Add(Vector x) {
    low = _mm512_min_ps(low, x);
    high = _mm512_max_ps(high, x);
    unfit = _mm512_fmadd_ps(x, _mm512_setzero_ps(), unfit);
  }
  void Add(const RowRange& other) {
    low = _mm512_min_ps(low, other.low);
    high = _mm512_max_ps(high, other.high);
    unfit = _mm512_add_ps(unfit, other.unfit);
  }
};

// What turns the values of a row into bytes.
struct RowScale {
  Vector factor, zero;

  // Stores the Quantization of the row.
  RowScale(const RowRange& range, const QuantizedRow& row) {
    const float smallest = _mm512_reduce_min_ps(range.low);
    const float width = _mm512_reduce_max_ps(range.high) - smallest;
    const float inverse = width > 0 ? 255 / width : 0.0f;
    // A value that is not finite would vanish in a byte: it makes the row's scale so instead.
    const Quantization quantization = {width / 255 + _mm512_reduce_add_ps(range.unfit),
                                       _mm_cvtss_si32(_mm_set_ss(-smallest * inverse)) & 255};
    __builtin_memcpy(row.output + row.low_offset, &quantization, sizeof(quantization));
    factor = _mm512_set1_ps(inverse);
    zero = _mm512_set1_ps(static_cast<float>(quantization.zero));
  }
  __m512i Integers(Vector x) const { return _mm512_cvtps_epi32(_mm512_fmadd_ps(x, factor, zero)); }
};

// 16 bytes of each in order, at the nearest of 0 and 255 where they are beyond.
inline __m512i PackBytes(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i quarters =  // of 4 bytes of a, b, c and d each
      _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
  return _mm512_permutexvar_epi32(
      _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), quarters);
}

// Bytes go to whole steps of 64, those past the columns as those of zeros.
inline void StoreQuantized(const float* values, const RowRange& range, const QuantizedRow& row) {
  const RowScale scale(range, row);
  auto* bytes = reinterpret_cast<uint8_t*>(row.output);
  const auto store = [&](int c, auto mask) {
    __m512i q[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      q[i] = scale.Integers(Scaled(values, row, c + i * 16, mask(c + i * 16)));
    }
    _mm512_storeu_si512(bytes + c, PackBytes(q[0], q[1], q[2], q[3]));
  };
  int c = 0;
  for (; c + 64 <= row.columns; c += 64) {
    store(c, [](int) { return static_cast<__mmask16>(0xffff); });
  }
  if (c < row.columns) store(c, [&](int column) { return ColumnMask(row, column); });
}

inline void QuantizeRow(const float* values, const QuantizedRow& row) {
  RowRange ranges[2];  // two chains: one alone waits for every step before
  int c = 0;
  for (; c + 32 <= row.columns; c += 32) {
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      ranges[i].Add(Scaled(values, row, c + i * 16, static_cast<__mmask16>(0xffff)));
    }
  }
  for (; c < row.columns; c += 16) {
    ranges[0].Add(Scaled(values, row, c, ColumnMask(row, c)));
  }
  ranges[0].Add(ranges[1]);
  StoreQuantized(values, ranges[0], row);
}

}  // namespace contexture::kernels::mixed::CTX_MIXED_ISA
