#include "core/kernels/amx_tiles.h"

#include "core/kernels/mixed_functions.h"

namespace contexture::kernels::mixed::amx {
namespace {

const TileConfig kTileConfig;

}  // namespace

// Through assembly: GCC 12 drops the stores to a configuration that only _tile_loadconfig reads.
void AcquireTiles() { asm volatile("ldtilecfg %0" ::"m"(kTileConfig)); }
void ReleaseTiles() { asm volatile("tilerelease" ::); }

}  // namespace contexture::kernels::mixed::amx
