// Offsets and tiles shared by the two halves of the panel path (panel_kernel.cpp, panel_products.cpp).
#pragma once

namespace ktc::x64 {

// Bytes of a span of a panel (sixteen rows) and of packed activations (sixteen tokens), and what is where.
constexpr int panelSpanStride = 6144;
constexpr int panelScales = 4096, panelOffsets = 5120;
constexpr int packedScales = 4096, packedSums32 = 4608, packedSums16 = 5120;

// Tile registers: int32 sums in turn, then operands of 32 and of 16 weights.
constexpr int sumTiles = 4, weightTile = 4, tokenTile = 5, halfWeightTile = 6, halfTokenTile = 7;

// Scratch offsets: the stored sum tiles, then the results of the matrices.
constexpr int panelSums = 0, panelResults = panelSums + sumTiles * 1024;

} // namespace ktc::x64
