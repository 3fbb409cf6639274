// Row-wise kernels. Included once per instruction set; no include guard on purpose.

namespace contexture::CTX_SIMD {

using kernels::AddArgs;
using kernels::Epilogue;
using kernels::EpilogueArgs;
using kernels::GateArgs;
using kernels::NormArgs;
using kernels::PoolMode;
using kernels::RotateArgs;

// Calls body(column, lanes) for each vector of a row; the last may be partial.
template <typename Body>
inline void ForEachVector(int size, Body body) {
  int c = 0;
  for (; c + F32::kLanes <= size; c += F32::kLanes) body(c, F32::kLanes);
  if (c < size) body(c, size - c);
}
inline F32 LoadLanes(const float* p, int lanes) {
  return lanes == F32::kLanes ? F32::Load(p) : F32::LoadPartial(p, lanes);
}
inline void StoreLanes(F32 x, float* p, int lanes) {
  if (lanes == F32::kLanes) {
    x.Store(p);
  } else {
    x.StorePartial(p, lanes);
  }
}

// Writes input + bias + residual to output and returns the sum of the row.
inline float AddRow(const float* input, const float* bias, const float* residual, float* output,
                    int size) {
  F32 sum = F32::Zero();
  ForEachVector(size, [&](int c, int lanes) {
    F32 x = LoadLanes(input + c, lanes);
    if (bias != nullptr) x = x + LoadLanes(bias + c, lanes);
    if (residual != nullptr) x = x + LoadLanes(residual + c, lanes);
    StoreLanes(x, output + c, lanes);
    sum = sum + x;
  });
  return sum.ReduceAdd();
}

inline void NormRow(const NormArgs& args, float sum, float* row) {
  const F32 mean = args.subtract_mean ? F32::Set(sum / static_cast<float>(args.size)) : F32::Zero();
  F32 squares = F32::Zero();
  ForEachVector(args.size, [&](int c, int lanes) {
    F32 d = LoadLanes(row + c, lanes) - mean;
    if (lanes != F32::kLanes) d = d.KeepFirst(lanes, F32::Zero());
    squares = MulAdd(d, d, squares);
  });
  const float variance = squares.ReduceAdd() / static_cast<float>(args.size);
  const F32 scale = F32::Set(1.0f / __builtin_sqrtf(variance + args.epsilon));
  ForEachVector(args.size, [&](int c, int lanes) {
    const F32 x = (LoadLanes(row + c, lanes) - mean) * scale;
    StoreLanes(MulAdd(x, LoadLanes(args.gamma + c, lanes), LoadLanes(args.beta + c, lanes)),
               row + c, lanes);
  });
}

inline void Norm(const NormArgs& args) {
  for (int r = 0; r < args.rows; ++r) {
    const size_t at = static_cast<size_t>(r) * args.size;
    const float* residual = args.residual == nullptr ? nullptr : args.residual + at;
    float* row = args.output + at;
    const float sum = AddRow(args.input + at, args.bias, residual, row, args.size);
    NormRow(args, sum, row);
  }
}

inline void Add(const AddArgs& args) {
  for (int r = 0; r < args.rows; ++r) {
    const size_t at = static_cast<size_t>(r) * args.size;
    const float* residual = args.residual == nullptr ? nullptr : args.residual + at;
    AddRow(args.input + at, args.bias, residual, args.output + at, args.size);
  }
}

template <typename Activation>
inline void ApplyActivation(const EpilogueArgs& args) {
  for (int r = 0; r < args.rows; ++r) {
    float* row = args.tile + static_cast<size_t>(r) * args.stride;
    ForEachVector(args.columns, [&](int c, int lanes) {
      const F32 x = LoadLanes(row + c, lanes) + LoadLanes(args.bias + c, lanes);
      StoreLanes(Activation::Apply(x), row + c, lanes);
    });
  }
}

inline void ApplyEpilogue(const EpilogueArgs& args) {
  switch (args.epilogue) {
    case Epilogue::kNone:
      return;
    case Epilogue::kBias:
      return ApplyActivation<Identity>(args);
    case Epilogue::kBiasGeluErf:
      return ApplyActivation<GeluErf>(args);
    case Epilogue::kBiasGeluTanh:
      return ApplyActivation<GeluTanh>(args);
    case Epilogue::kBiasRelu:
      return ApplyActivation<Relu>(args);
    case Epilogue::kBiasSilu:
      return ApplyActivation<Silu>(args);
  }
}

template <typename Activation>
inline void GateRows(const GateArgs& args) {
  for (int r = 0; r < args.num_rows; ++r) {
    float* row = args.rows + static_cast<size_t>(r) * 2 * args.columns;
    ForEachVector(args.columns, [&](int c, int lanes) {
      const F32 gate = Activation::Apply(LoadLanes(row + c, lanes));
      StoreLanes(gate * LoadLanes(row + args.columns + c, lanes), row + c, lanes);
    });
  }
}

inline void Gate(const GateArgs& args) {
  switch (args.activation) {
    case Epilogue::kNone:
    case Epilogue::kBias:
      return GateRows<Identity>(args);
    case Epilogue::kBiasGeluErf:
      return GateRows<GeluErf>(args);
    case Epilogue::kBiasGeluTanh:
      return GateRows<GeluTanh>(args);
    case Epilogue::kBiasRelu:
      return GateRows<Relu>(args);
    case Epilogue::kBiasSilu:
      return GateRows<Silu>(args);
  }
}

inline void Rotate(const RotateArgs& args) {
  const int half = args.head_size / 2;
  for (int r = 0; r < args.num_rows; ++r) {
    const float* turn = args.turns + static_cast<size_t>(r) * args.head_size;
    float* head = args.rows + static_cast<size_t>(r) * args.stride;
    for (int h = 0; h < args.num_heads; ++h, head += args.head_size) {
      ForEachVector(half, [&](int c, int lanes) {
        const F32 cosine = LoadLanes(turn + c, lanes), sine = LoadLanes(turn + half + c, lanes);
        const F32 first = LoadLanes(head + c, lanes), second = LoadLanes(head + half + c, lanes);
        StoreLanes(first * cosine - second * sine, head + c, lanes);
        StoreLanes(MulAdd(second, cosine, first * sine), head + half + c, lanes);
      });
    }
  }
}

inline void Pool(PoolMode mode, const float* input, int rows, int size, float* output) {
  ForEachVector(size, [&](int c, int lanes) {
    F32 x = LoadLanes(input + c, lanes);
    for (int r = 1; r < rows; ++r) {
      const F32 y = LoadLanes(input + static_cast<size_t>(r) * size + c, lanes);
      x = mode == PoolMode::kMean ? x + y : Max(x, y);
    }
    if (mode == PoolMode::kMean) x = x / F32::Set(static_cast<float>(rows));
    StoreLanes(x, output + c, lanes);
  });
}

inline float SumOfSquares(const float* x, int size) {
  F32 sum = F32::Zero();
  ForEachVector(size, [&](int c, int lanes) {
    const F32 v = LoadLanes(x + c, lanes);
    sum = MulAdd(v, v, sum);
  });
  return sum.ReduceAdd();
}

}  // namespace contexture::CTX_SIMD
