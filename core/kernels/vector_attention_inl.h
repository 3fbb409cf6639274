// Attention of one sequence and head. Included once per instruction set; no include guard on
// purpose.

namespace contexture::CTX_SIMD {

template <int kVectors>
inline void ScoreBlock(const AttentionScratch& s, const float* const* query, int key, int depth) {
  F32 tile[F32::kTileRows][kVectors];
  MultiplyTile<F32::kTileRows, kVectors>(query, s.key_transposed + key, s.key_stride, depth, tile);
  for (int r = 0; r < F32::kTileRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      tile[r][v].Store(s.scores + static_cast<size_t>(r) * s.key_stride + key + v * F32::kLanes);
    }
  }
}

// Scores become weights e^(scale (s - max)), unnormalised, zero past `keys`; returns 1 / sum.
inline float SoftmaxRow(float* row, int keys, float scale) {
  const F32 lowest = F32::Set(-3.0e38f);
  F32 max = lowest, other = lowest;  // two chains: one alone waits for every step before
  int j = 0;
  for (; j + 2 * F32::kLanes <= keys; j += 2 * F32::kLanes) {
    max = Max(max, F32::Load(row + j));
    other = Max(other, F32::Load(row + j + F32::kLanes));
  }
  max = Max(max, other);
  if (j + F32::kLanes <= keys) {
    max = Max(max, F32::Load(row + j));
    j += F32::kLanes;
  }
  if (j < keys) max = Max(max, F32::Load(row + j).KeepFirst(keys - j, lowest));
  const F32 scale_vector = F32::Set(scale);
  const F32 shift = F32::Set(-scale * max.ReduceMax());
  F32 sum = F32::Zero();
  for (j = 0; j + F32::kLanes <= keys; j += F32::kLanes) {
    const F32 weight = Exp(MulAdd(F32::Load(row + j), scale_vector, shift));
    weight.Store(row + j);
    sum = sum + weight;
  }
  if (j < keys) {
    const F32 weight =
        Exp(MulAdd(F32::Load(row + j), scale_vector, shift)).KeepFirst(keys - j, F32::Zero());
    weight.Store(row + j);
    sum = sum + weight;
  }
  return 1.0f / sum.ReduceAdd();
}

inline KeyRange SeenKeys(const AttentionArgs& args, int query) {
  KeyRange seen = {0, args.key_length};
  if (args.causal && query + 1 < seen.end) seen.end = query + 1;
  if (args.window == 0) return seen;
  if (query - args.window > seen.begin) seen.begin = query - args.window;
  if (query + args.window + 1 < seen.end) seen.end = query + args.window + 1;
  return seen;
}

// The scores of query `query` and keys [begin, end), scaled, with the biases of their distances.
inline void BiasRow(const AttentionArgs& args, float* row, int query, KeyRange keys) {
  static constexpr float kLaneNumbers[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  static_assert(F32::kLanes <= 16, "a lane has no number");
  const F32 lane = F32::Load(kLaneNumbers);
  const F32 scale = F32::Set(args.scale);
  const F32 slope = F32::Set(-args.alibi_slope);
  for (int j = keys.begin; j < keys.end; j += F32::kLanes) {
    const F32 distance = Abs(F32::Set(static_cast<float>(j - query)) + lane);
    F32 bias = distance * slope;
    if (args.distance_bias != nullptr) {
      const int lanes = keys.end - j < F32::kLanes ? keys.end - j : F32::kLanes;
      bias = bias + LoadLanes(args.distance_bias + (j - query), lanes);
    }
    MulAdd(F32::Load(row + j), scale, bias).Store(row + j);
  }
}

// The scores of one query in columns `block`, of which it sees `seen`, become weights; those that
// it does not see become zero. Returns 1 / sum. block.begin is that of a vector.
inline float WeightRow(const AttentionArgs& args, float* row, int query, KeyRange block) {
  const KeyRange seen = SeenKeys(args, query);
  const bool biased = args.alibi_slope != 0.0f || args.distance_bias != nullptr;
  if (biased) BiasRow(args, row, query, {block.begin, seen.end});
  // So low that its weight vanishes beside the greatest one, which is 1.
  for (int k = block.begin; k < seen.begin; ++k) row[k] = -3.0e38f;
  const float inverse =
      SoftmaxRow(row + block.begin, seen.end - block.begin, biased ? 1.0f : args.scale);
  for (int k = block.begin; k < seen.begin; ++k) row[k] = 0.0f;
  for (int k = RoundUp(seen.end, F32::kLanes); k < block.end; ++k) row[k] = 0.0f;
  return inverse;
}

// A block of queries whose weights are in the scratch.
struct WeightedRows {
  int rows;
  KeyRange keys;
  const float* inverse;  // [kTileRows], what the weights of a row are multiplied by
  float* context;        // of the first row
};

template <int kVectors>
inline void ContextBlock(const AttentionArgs& args, const AttentionScratch& s,
                         const WeightedRows& block, int column) {
  const float* weights[F32::kTileRows];
  for (int r = 0; r < F32::kTileRows; ++r) {
    weights[r] = s.scores + static_cast<size_t>(r) * s.key_stride + block.keys.begin;
  }
  const float* value = s.value + static_cast<size_t>(block.keys.begin) * s.value_stride + column;
  F32 tile[F32::kTileRows][kVectors];
  MultiplyTile<F32::kTileRows, kVectors>(weights, value, s.value_stride,
                                         block.keys.end - block.keys.begin, tile);
  for (int r = 0; r < block.rows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      const int at = column + v * F32::kLanes;
      const int lanes = args.head_size - at < F32::kLanes ? args.head_size - at : F32::kLanes;
      StoreLanes(tile[r][v] * F32::Set(block.inverse[r]),
                 block.context + static_cast<size_t>(r) * args.context_stride + at, lanes);
    }
  }
}

// A block of `rows` queries from `first` on: scores, weights, context.
inline void AttendBlock(const AttentionArgs& args, const AttentionScratch& s, int first, int rows) {
  const float* query[F32::kTileRows];
  for (int r = 0; r < F32::kTileRows; ++r) {
    const int row = first + (r < rows ? r : rows - 1);  // the tile's spare rows repeat the last one
    query[r] = args.query + static_cast<size_t>(row) * args.stride;
  }
  const int begin = SeenKeys(args, first).begin / F32::kLanes * F32::kLanes;
  const int end = SeenKeys(args, first + rows - 1).end;
  const int padded_end = RoundUp(end, F32::kLanes);
  int j = begin;
  for (; j + F32::kTileVectors * F32::kLanes <= padded_end; j += F32::kTileVectors * F32::kLanes) {
    ScoreBlock<F32::kTileVectors>(s, query, j, args.head_size);
  }
  for (; j < padded_end; j += F32::kLanes) ScoreBlock<1>(s, query, j, args.head_size);
  if (args.relative != nullptr) AddRelativeScores(args, s, {first, rows}, {begin, padded_end});

  float inverse[F32::kTileRows];
  for (int r = 0; r < F32::kTileRows; ++r) {
    float* row = s.scores + static_cast<size_t>(r) * s.key_stride;
    inverse[r] = WeightRow(args, row, first + (r < rows ? r : rows - 1), {begin, padded_end});
  }
  const WeightedRows block = {
      rows, {begin, end}, inverse, args.context + static_cast<size_t>(first) * args.context_stride};
  const int columns = RoundUp(args.head_size, F32::kLanes);
  int c = 0;
  for (; c + 2 * F32::kLanes <= columns; c += 2 * F32::kLanes) {
    ContextBlock<2>(args, s, block, c);
  }
  if (c < columns) ContextBlock<1>(args, s, block, c);
}

inline void Attend(const AttentionArgs& args) {
  const AttentionScratch scratch = PrepareAttention(args);
  for (int first = 0; first < args.query_length; first += F32::kTileRows) {
    const int left = args.query_length - first;
    if (args.relative != nullptr && first % kernels::kRelativeTile == 0) {
      PrepareRelativeScores(args, scratch, first);
    }
    AttendBlock(args, scratch, first, left < F32::kTileRows ? left : F32::kTileRows);
  }
}

}  // namespace contexture::CTX_SIMD
