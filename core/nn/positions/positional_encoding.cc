#include "core/nn/positions/positional_encoding.h"

#include <algorithm>

#include "core/nn/positions/alibi.h"
#include "core/nn/positions/no_positions.h"
#include "core/nn/positions/position_table.h"
#include "core/nn/positions/rotary.h"
#include "core/nn/positions/sinusoidal.h"
#include "core/nn/positions/sparse.h"

namespace contexture::nn {
namespace {

// No sequence has a token beyond max_length (0: it is not set).
int RotaryTableLength(const EncoderConfig& config) {
  const int positions = config.position.num_positions;
  return config.max_length > 0 ? std::min(positions, config.max_length) : positions;
}

}  // namespace

std::unique_ptr<PositionalEncoding> MakePositionalEncoding(const EncoderConfig& config,
                                                           const EncoderWeights& weights) {
  const PositionConfig& position = config.position;
  switch (position.kind) {
    case PositionKind::kNone:
      break;
    case PositionKind::kLearned:
    case PositionKind::kSparseLearned:
      return std::make_unique<PositionTable>(weights.position_embedding, position.offset);
    case PositionKind::kSinusoidal:
      return std::make_unique<SinusoidalPositions>(position.num_positions, config.hidden_size);
    case PositionKind::kSparse:
      return std::make_unique<SparsePositions>(position.num_positions, config.hidden_size);
    case PositionKind::kRotary:
      return std::make_unique<RotaryPositions>(RotaryTableLength(config),
                                               config.attention.head_size, position.rotary);
    case PositionKind::kAlibi:
      return std::make_unique<AlibiPositions>(config.attention.num_heads);
  }
  return std::make_unique<NoPositions>(config.hidden_size);
}

std::unique_ptr<PositionalEncoding> MakeLocalPositionalEncoding(const EncoderConfig& config) {
  const bool local = config.attention.window != 0 && !config.attention.local.empty();
  if (!local || config.position.kind != PositionKind::kRotary) return nullptr;
  return std::make_unique<RotaryPositions>(RotaryTableLength(config), config.attention.head_size,
                                           config.position.local_rotary);
}

}  // namespace contexture::nn
