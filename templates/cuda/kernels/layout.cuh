// Shared-memory layout of the matrix kernels: plain arithmetic, used by the kernels and by the C++ that
// chooses their launch.
#pragma once

namespace kt {

constexpr int roundUp(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

// Ring of a warp (stream.cuh). A slot holds the bytes of one row in one unit, from the 16-byte boundary before
// them; an odd number of 16-byte steps lets eight rows be read without bank conflicts.
constexpr int streamSlotBytes(int unitBytes, bool rowsAligned) {
  return (roundUp(unitBytes + (rowsAligned ? 0 : 15), 16) / 16 | 1) * 16;
}
// A row of activations of one unit, padded by 16 bytes after every quarter.
constexpr int streamTokenBytes(int unitElements, int elementBytes) { return unitElements * elementBytes + 64; }
constexpr int streamStageBytes(int tiles, int slotBytes, int tokens, int tokenBytes) {
  return tiles * 16 * slotBytes + tokens * tokenBytes;
}
// Scales of a unit, two floats each, for formats whose sums are scaled; rows are padded by one.
constexpr int streamScaleBytes(int tiles, int scales) { return tiles * 16 * (scales + 1) * 8; }
// Sums of all warps, as accumulators: 128 floats for 16 rows of 8 tokens.
constexpr int streamSumBytes(int warps, int tiles, int tokenTiles) { return warps * tiles * tokenTiles * 512; }

// Tile of 128 rows and `tokens` tokens, 32 elements of k, two buffers (tile.cuh). Rows of 80 bytes: no bank
// conflicts.
constexpr int tileRows = 128, tileDepth = 32, tilePitch = 40;
constexpr int tileBytes(int tokens) { return 2 * (tileRows + tokens) * tilePitch * 2; }

} // namespace kt
