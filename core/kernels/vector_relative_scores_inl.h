// Scores of contents against relative positions, kernels::RelativeScores. Included once per
// instruction set; no include guard on purpose.

namespace contexture::CTX_SIMD {

using kernels::kRelativeTile;
using kernels::RelativeScores;

// Queries [first, first + count).
struct QueryRange {
  int first, count;
};

// Columns [begin, end) of a product's result, both those of vectors.
struct ProductColumns {
  int begin, end;
  float* result;
  int stride;  // of the result
};

// result[r][column] = sum over k of a[r][k] * b[k][column] for kTileRows rows.
inline void MultiplyRows(const float* const* a, const float* b, int b_stride, int depth,
                         const ProductColumns& columns) {
  constexpr int kWide = F32::kTileVectors;
  int c = columns.begin;
  for (; c + kWide * F32::kLanes <= columns.end; c += kWide * F32::kLanes) {
    F32 tile[F32::kTileRows][kWide];
    MultiplyTile<F32::kTileRows, kWide>(a, b + c, b_stride, depth, tile);
    for (int r = 0; r < F32::kTileRows; ++r) {
      for (int v = 0; v < kWide; ++v) {
        tile[r][v].Store(columns.result + static_cast<size_t>(r) * columns.stride + c +
                         v * F32::kLanes);
      }
    }
  }
  for (; c < columns.end; c += F32::kLanes) {
    F32 tile[F32::kTileRows][1];
    MultiplyTile<F32::kTileRows, 1>(a, b + c, b_stride, depth, tile);
    for (int r = 0; r < F32::kTileRows; ++r) {
      tile[r][0].Store(columns.result + static_cast<size_t>(r) * columns.stride + c);
    }
  }
}

// The scratch behind that of plain attention.
struct RelativeScratch {
  float* block;  // [kRelativeTile, key_stride]: keys times position queries of a block of queries
  float* position;  // [kTileRows, RelativeScores::key_stride]: queries times position keys
  float* tile;      // [num_rows rounded up to kTileRows, kRelativeTile]
};
inline RelativeScratch CutRelative(const AttentionArgs& args, const AttentionScratch& s) {
  RelativeScratch scratch;
  scratch.block = s.relative;
  scratch.position = scratch.block + static_cast<size_t>(kRelativeTile) * s.key_stride;
  scratch.tile = scratch.position + static_cast<size_t>(F32::kTileRows) * args.relative->key_stride;
  return scratch;
}

// The rows of positions that distances FIRST .. LAST use: they descend as distances grow.
struct RowRange {
  int begin, end;
};
inline RowRange UsedRows(const RelativeScores& relative, int first, int last) {
  return {relative.rows[last], relative.rows[first] + 1};
}

// The products of keys [key, key + columns) and the position queries of QUERIES, by query into
// `block`: computed for each row of positions in use, then looked up by distance.
inline void PreparePositionQueries(const AttentionArgs& args, const AttentionScratch& s,
                                   const QueryRange& queries, int key) {
  const RelativeScores& relative = *args.relative;
  const RelativeScratch scratch = CutRelative(args, s);
  const int left = s.key_stride - key;
  const int columns = left < kRelativeTile ? left : kRelativeTile;
  const RowRange rows = UsedRows(relative, key - (queries.first + queries.count - 1),
                                 key + columns - 1 - queries.first);
  for (int row = rows.begin; row < rows.end; row += F32::kTileRows) {
    const float* position[F32::kTileRows];
    for (int r = 0; r < F32::kTileRows; ++r) {
      const int used = row + r < rows.end ? row + r : rows.end - 1;
      position[r] = relative.queries + static_cast<size_t>(used) * relative.query_stride;
    }
    MultiplyRows(position, s.key_transposed + key, s.key_stride, args.head_size,
                 {0, columns, scratch.tile + static_cast<size_t>(row - rows.begin) * kRelativeTile,
                  kRelativeTile});
  }
  const float* tile = scratch.tile - static_cast<ptrdiff_t>(rows.begin) * kRelativeTile;
  for (int r = 0; r < queries.count; ++r) {
    const int distance = key - (queries.first + r);
    float* sums = scratch.block + static_cast<size_t>(r) * s.key_stride + key;
    for (int c = 0; c < columns; c += F32::kLanes) {
      F32::Gather(tile - distance, relative.tile_offsets + distance + c).Store(sums + c);
    }
  }
}

// Of the kRelativeTile queries from FIRST on.
inline void PrepareRelativeScores(const AttentionArgs& args, const AttentionScratch& s, int first) {
  if (args.relative->queries == nullptr) return;
  const int left = args.query_length - first;
  const QueryRange queries = {first, left < kRelativeTile ? left : kRelativeTile};
  for (int key = 0; key < s.key_stride; key += kRelativeTile) {
    PreparePositionQueries(args, s, queries, key);
  }
}

// The products of a tile of queries and the position keys that KEYS use, in `position`.
inline void MultiplyPositionKeys(const AttentionArgs& args, const AttentionScratch& s,
                                 const QueryRange& queries, KeyRange keys) {
  const RelativeScores& relative = *args.relative;
  const float* query[F32::kTileRows];
  for (int r = 0; r < F32::kTileRows; ++r) {
    const int row = queries.first + (r < queries.count ? r : queries.count - 1);
    query[r] = args.query + static_cast<size_t>(row) * args.stride;
  }
  const RowRange rows = UsedRows(relative, keys.begin - (queries.first + queries.count - 1),
                                 keys.end - 1 - queries.first);
  const ProductColumns columns = {rows.begin / F32::kLanes * F32::kLanes,
                                  RoundUp(rows.end, F32::kLanes), CutRelative(args, s).position,
                                  relative.key_stride};
  MultiplyRows(query, relative.keys, relative.key_stride, args.head_size, columns);
}

// The scores of a tile of QUERIES and KEYS, whole vectors, grow by those of relative positions.
inline void AddRelativeScores(const AttentionArgs& args, const AttentionScratch& s,
                              const QueryRange& queries, KeyRange keys) {
  const RelativeScores& relative = *args.relative;
  const RelativeScratch scratch = CutRelative(args, s);
  if (relative.keys != nullptr) MultiplyPositionKeys(args, s, queries, keys);
  for (int r = 0; r < F32::kTileRows; ++r) {
    const int query = queries.first + (r < queries.count ? r : queries.count - 1);
    float* scores = s.scores + static_cast<size_t>(r) * s.key_stride;
    const float* position = scratch.position + static_cast<size_t>(r) * relative.key_stride;
    const float* block = scratch.block + static_cast<size_t>(query % kRelativeTile) * s.key_stride;
    for (int j = keys.begin; j < keys.end; j += F32::kLanes) {
      F32 score = F32::Load(scores + j);
      if (relative.keys != nullptr) {
        score = score + F32::Gather(position, relative.rows + (j - query));
      }
      if (relative.queries != nullptr) score = score + F32::Load(block + j);
      score.Store(scores + j);
    }
  }
}

}  // namespace contexture::CTX_SIMD
