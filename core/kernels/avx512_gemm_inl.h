// Products of packed panels on AVX-512. Included once per instruction set with CTX_MIXED_ISA set to
// the namespace of its translation unit; no include guard on purpose.

namespace contexture::kernels::mixed::CTX_MIXED_ISA {

constexpr int kMaxRows = 12;  // of a block: 12 x 2 sums, two weights and an input in 32 registers
constexpr int kTile = 512;    // elements of a packed tile: 16 units of depth x 16 columns
constexpr int kUnits = 16;    // 32-bit units of depth in a packed step

// The left factor of a block: rows of 32-bit units, each a few depth elements side by side.
struct BlockInput {
  const uint16_t* rows;
  long stride;  // elements
  int steps;
  // What the next blocks take, fetched beside: a tile a step of each, null: nothing.
  const uint16_t* next_left = nullptr;
  const uint16_t* next_right = nullptr;

  // To the steps behind these.
  void Advance() {
    rows += static_cast<long>(kTile / 16) * steps;
    const long tiles = static_cast<long>(2 * kTile) * steps;
    if (next_left != nullptr) next_left += tiles;
    if (next_right != nullptr) next_right += tiles;
  }
};

// sums[r] += input row r times the 32 columns of a panel, in the order of depth: a row's sums are
// the same in blocks of any height.
template <typename Product, int kRows>
inline void MultiplyBlock(const BlockInput& input, const uint16_t* panel,
                          typename Product::Sum (&sums)[kRows][2]) {
  const char* rows = reinterpret_cast<const char*>(input.rows);
  const long stride = input.stride * 2;
  // Without anything to fetch: what is in the cache already.
  const uint16_t* next_left = input.next_left == nullptr ? panel : input.next_left;
  const uint16_t* next_right = input.next_right == nullptr ? panel : input.next_right;
  for (int step = 0; step < input.steps; ++step) {
#pragma GCC unroll 4
    for (int unit = 0; unit < kUnits; ++unit) {
      _mm_prefetch(reinterpret_cast<const char*>(next_left + unit * 32), _MM_HINT_T1);
      _mm_prefetch(reinterpret_cast<const char*>(next_right + unit * 32), _MM_HINT_T1);
      const __m512i left = _mm512_load_si512(panel + unit * 32);
      const __m512i right = _mm512_load_si512(panel + kTile + unit * 32);
#pragma GCC unroll 12
      for (int r = 0; r < kRows; ++r) {
        int32_t x;
        __builtin_memcpy(&x, rows + r * stride + unit * 4, sizeof(x));
        const __m512i factor = _mm512_set1_epi32(x);
        sums[r][0] = Product::Add(sums[r][0], factor, left);
        sums[r][1] = Product::Add(sums[r][1], factor, right);
      }
    }
    rows += kUnits * 4;
    panel += 2 * kTile;
    next_left += 2 * kTile;
    next_right += 2 * kTile;
  }
}

// Calls body(row, height) for blocks of nearly equal heights of at most kMaxRows.
template <typename Body>
inline void ForEachBlock(int rows, const Body& body) {
  const int blocks = (rows + kMaxRows - 1) / kMaxRows;
  if (blocks == 0) return;
  const int height = rows / blocks, higher = rows % blocks;  // so many have a row more
  for (int block = 0, row = 0; block < blocks; ++block) {
    const int block_rows = height + (block < higher ? 1 : 0);
    body(row, block_rows);
    row += block_rows;
  }
}

// Calls body with the number of rows, 1 to kMaxRows, as a constant.
template <int kRows = kMaxRows, typename Body>
inline void WithConstantRows(int rows, const Body& body) {
  if constexpr (kRows == 1) {
    body(std::integral_constant<int, 1>());
  } else if (rows == kRows) {
    body(std::integral_constant<int, kRows>());
  } else {
    WithConstantRows<kRows - 1>(rows, body);
  }
}

// Where the sums of a block go: [rows, 32] floats at `stride`. `accumulate`: added to what is
// there.
struct BlockOutput {
  float* sums;
  long stride;
  bool accumulate;
};

// A block of rows and panel of a product; an Arithmetic multiplies it:
//   static void Multiply(const GemmArgs&, const Block&, const BlockOutput&);
struct Block {
  int row;
  int rows;
  int panel;
};

inline BlockInput InputOf(const GemmArgs& g, const Block& block) {
  BlockInput input = {g.input + static_cast<size_t>(block.row) * g.input_stride, g.input_stride,
                      g.steps};
  // The first two blocks of rows fetch the next panel, half of it each.
  if (block.panel + 1 == g.panels || block.row > kMaxRows) return input;
  const uint16_t* next = g.weights + (block.panel + 1) * g.panel_stride;
  if (block.row == 0) input.next_left = next;
  if (block.row != 0 || block.rows == g.rows) input.next_right = next + kTile;
  return input;
}

// Panels outside, so that a panel stays in the cache for all rows.
template <typename Body>
inline void ForEachProduct(const GemmArgs& g, const Body& body) {
  for (int panel = 0; panel < g.panels; ++panel) {
    ForEachBlock(g.rows, [&](int row, int rows) { body(Block{row, rows, panel}); });
  }
}

template <typename Arithmetic>
inline void FloatGemm(const GemmArgs& g, const FloatOutput& out) {
  ForEachProduct(g, [&](const Block& block) {
    const int column = block.panel * kPanel;
    float* to = out.output + static_cast<size_t>(block.row) * out.stride + column;
    Arithmetic::Multiply(g, block, {to, out.stride, out.accumulate});
    if (out.bias == nullptr) return;
    for (int r = 0; r < block.rows; ++r, to += out.stride) {
      for (int half = 0; half < kPanel; half += 16) {
        _mm512_storeu_ps(to + half, _mm512_add_ps(_mm512_loadu_ps(to + half),
                                                  _mm512_loadu_ps(out.bias + column + half)));
      }
    }
  });
}

// activation(values + bias) of 32 columns; kGated: activation(gate + bias) * (up + bias) in the
// first of the results.
template <Epilogue kEpilogue, bool kGated>
inline void ActivatePanel(const float* values, const float* bias, Vector (&result)[2]) {
  for (int half = 0; half < 2; ++half) {
    result[half] =
        _mm512_add_ps(_mm512_loadu_ps(values + half * 16), _mm512_loadu_ps(bias + half * 16));
  }
  result[0] = Activate<Format::kBf16, kEpilogue>(result[0]);
  if constexpr (kGated) {
    result[0] = _mm512_mul_ps(result[0], result[1]);
  } else {
    result[1] = Activate<Format::kBf16, kEpilogue>(result[1]);
  }
}

// Columns of the output that a panel makes.
template <bool kGated>
constexpr int kPanelOutputs = kGated ? kPanel / 2 : kPanel;

// Stores activations with Arithmetic::Store(low, high, output) or, gated, Store(values, output).
template <typename Arithmetic, Epilogue kEpilogue, bool kGated>
inline void ActivationGemm(const GemmArgs& g, const ActivationOutput& out) {
  alignas(64) float sums[kMaxRows * kPanel];
  ForEachProduct(g, [&](const Block& block) {
    Arithmetic::Multiply(g, block, {sums, kPanel, false});
    uint16_t* to = out.output + static_cast<size_t>(block.row) * out.stride +
                   block.panel * kPanelOutputs<kGated>;
    for (int r = 0; r < block.rows; ++r, to += out.stride) {
      Vector v[2];
      ActivatePanel<kEpilogue, kGated>(sums + r * kPanel, out.bias + block.panel * kPanel, v);
      if constexpr (kGated) {
        Arithmetic::Store(v[0], to);
      } else {
        Arithmetic::Store(v[0], v[1], to);
      }
    }
  });
}

// Calls body with the epilogue and whether it is gated as constants.
template <typename Body>
inline void WithConstantEpilogue(const ActivationOutput& output, const Body& body) {
  const auto with = [&](auto epilogue) {
    output.gated ? body(epilogue, std::true_type()) : body(epilogue, std::false_type());
  };
  switch (output.epilogue) {
    case Epilogue::kNone:
    case Epilogue::kBias:
      return with(std::integral_constant<Epilogue, Epilogue::kBias>());
    case Epilogue::kBiasGeluErf:
      return with(std::integral_constant<Epilogue, Epilogue::kBiasGeluErf>());
    case Epilogue::kBiasGeluTanh:
      return with(std::integral_constant<Epilogue, Epilogue::kBiasGeluTanh>());
    case Epilogue::kBiasRelu:
      return with(std::integral_constant<Epilogue, Epilogue::kBiasRelu>());
    case Epilogue::kBiasSilu:
      return with(std::integral_constant<Epilogue, Epilogue::kBiasSilu>());
  }
}

}  // namespace contexture::kernels::mixed::CTX_MIXED_ISA
