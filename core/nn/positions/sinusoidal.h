#pragma once

#include "core/nn/positions/position_table.h"

namespace contexture::nn {

// The radians by which dimensions 2 PAIR and 2 PAIR + 1 of DIMENSIONS turn per position, in the two
// forms in which they are written: 1 / 10000^(2i/d) (Vaswani et al. 2017, 3.5), and
// exp(2i (-ln 10000 / d)), as most programs compute it. They agree to rounding.
double FrequencyByPower(int pair, int dimensions);
double FrequencyByExponential(int pair, int dimensions);

// Writes matrix [length, dimensions]: sin(position * frequency) at even dimensions, cos at odd
// ones. DIMENSIONS is even. Computed in double precision, so that far positions keep float's.
void WriteSinusoidal(int length, int dimensions, double (*frequency)(int pair, int dimensions),
                     float* matrix);

// Sines and cosines added to the embeddings: bounded by 1, different for each position, and turned
// by a matrix that depends on k alone from position p to p + k.
class SinusoidalPositions : public PositionTable {
 public:
  SinusoidalPositions(int num_positions, int hidden_size);
};

}  // namespace contexture::nn
