#pragma once

// The AMX tile instructions in plain C++, as the operation sections of the Intel SDM, volume 2,
// have them (LDTILECFG, TILERELEASE, TILELOADD, TILESTORED, TILEZERO, TDPBUSD, TDPBF16PS), for
// machines without AMX. Each thread has its own tiles. What would raise #UD aborts.
namespace contexture::emulation {

void LoadTileConfig(const void* config);
void ReleaseTiles();
void LoadTile(int tile, const void* base, long stride);
void StoreTile(int tile, void* base, long stride);
void ZeroTile(int tile);
// sums += left * right: unsigned by signed bytes to 32-bit integers.
void DotBytes(int sums, int left, int right);
// The same of bfloat16 to floats: denormals are zeros, and even and odd elements are added apart.
void DotBfloats(int sums, int left, int right);

}  // namespace contexture::emulation
