// Scratch, packed tokens and tile registers of the panel path, shared by its parts (panel_*.cpp).
#pragma once

#include "templates/specs.h"
#include "templates/x64/panel/panel_decoder.h"

namespace ktc::x64 {

// A panel is up to 32 rows of one span: s8 (or u8) [2 row tiles][4 groups][16 rows][64 weights].
constexpr int panelTiles = 2, panelTileRows = 16, panelTileBytes = 4096, panelGroupBytes = 1024;

// Sixteen tokens and a span, packed: s8 q[64 groups of 4][16 tokens][4] · float d[16] · int32 -128 * sum of
// q[16]
constexpr int packedScales = 4096, packedSums = 4160, packedBytes = packedSpanBytes;

// Products so far of sixteen tokens: float [2 row tiles][16 rows][16 tokens]
constexpr int productTileBytes = 1024, productBytes = panelTiles * productTileBytes;

// What the stream (panel_stream.cpp) scales of one tile: its integer sums, then scales of its rows and tokens.
constexpr int pastTileRowScales = 1024, pastTileTokenScales = 1088, pastTileBytes = 1152;

// Scratch offsets: the integer sums of four tiles, later what a family keeps for a tile of results; what
// decoders keep; scales of the rows and bytes of two panels, one in use and one in the making; products that
// nobody wants. Then products and packed tokens follow.
constexpr int panelSums = 0, panelHeader = 4 * pastTileBytes, panelGather = panelHeader + 256;
constexpr int panelScaleBytes = panelTiles * panelTileRows * 4, panelBytes = panelTiles * panelTileBytes;
constexpr int panelScales = panelGather + panelTiles * panelTileRows / panelRowGroup * panelGatherBytes;
constexpr int panelWeights = 6144, panelUnused = panelWeights + 2 * panelBytes;
constexpr int panelProducts = panelUnused + 2 * productBytes;
static_assert(panelScales + 2 * panelScaleBytes <= panelWeights);
static_assert(panelHeader + panelHeaderBytes <= panelGather);

} // namespace ktc::x64
