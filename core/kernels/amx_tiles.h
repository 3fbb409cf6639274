#pragma once

#include <cstdint>

namespace contexture::kernels::mixed::amx {

// The operand of LDTILECFG (Intel SDM, volume 2, TILECFG): eight tiles of 16 rows of 64 bytes.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t column_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);

}  // namespace contexture::kernels::mixed::amx
