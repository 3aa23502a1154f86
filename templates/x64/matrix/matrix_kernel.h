// The matrix loop shared by linear, gate_up and down: products of up to four weight rows with up to eight
// tokens.
//
// A *tile* is rows x tokens; weights are decoded once per tile and used for all its tokens. The sum of one
// output is always built in the same order (spans of 256 weights; in a span first the offsets, then the groups;
// then one fixed horizontal sum), whatever the tile: a token's result depends neither on m nor on the rows it
// shares a tile with.
//
// Isa::Amx uses the Avx512 tile. For many tokens PanelKernel (panel_kernel.h) takes the place of these tiles.
#pragma once

#include "runtime/abi/kt_abi.h"
#include "templates/param_check.h"
#include "templates/x64/emitter.h"
#include "templates/x64/quant/block_header.h"
#include "templates/x64/quant/decoder.h"
#include "templates/x64/quant/lane_decoder.h"

#include <functional>
#include <memory>
#include <vector>

namespace ktc::x64 {

// Returns `value` if it fits a sign-extended 32-bit immediate, else throws ParamError naming `what` (a size in
// bytes or a count).
int32_t immediate(int64_t value, std::string_view what);

// A weight matrix as the loop sees it.
struct MatrixWeights {
  const KtTypeInfo *format = nullptr;
  int64_t k = 0;                           // elements of a row
  int64_t rowBytes = 0;                    // bytes of a row
  bool takesF32 = false, takesQ8k = false; // neither: q8 rows
  std::unique_ptr<BlockDecoder> decoder;   // null for float formats
  std::unique_ptr<BlockHeader> header;     // K-quants only
  std::unique_ptr<LaneDecoder> lanes;      // quantised formats, wide only
};

class MatrixKernel : public Emitter {
public:
  explicit MatrixKernel(const Target &target) : Emitter(target) {}

protected:
  static constexpr int rowsPerUnit = KT_ROWS_PER_UNIT;
  static constexpr int maxTile = 8;

  // ---- Frame slots common to the families; their own follow at `ownSlots`
  // ----------------------------------------
  static constexpr size_t scaleSlots = 0;                          // narrow: scales times d, 64 bytes per token
  static constexpr size_t resultSlots = scaleSlots + maxTile * 64; // float[token][4 rows]
  static constexpr size_t secondResults = resultSlots + maxTile * 16; // the same for a second matrix
  static constexpr size_t slotNumbers =
      secondResults + maxTile * 16; // int64[token]: slot of each token of the tile
  // Narrow K-quants: int16 scales of a block, d and dm of each token times dx, sums [token][row] of 8 lanes.
  static constexpr size_t blockScales = scaleSlots;
  static constexpr size_t blockFactors = scaleSlots + 64;
  static constexpr size_t blockSums = slotNumbers + maxTile * 8;
  // Wide: sums of a token; 32-blocks: its offsets and factors, [row][block].
  static constexpr size_t laneSums = blockSums;
  static constexpr size_t laneOffsets = laneSums + maxTile * 64;
  static constexpr size_t laneFactors = laneOffsets + maxTile * 128;
  // int64: bytes from a row of the current unit to the same row of the unit that this thread multiplies next,
  // and from there to that of a unit some way further on.
  static constexpr size_t aheadBytes = laneFactors + maxTile * 128;
  static constexpr size_t fartherBytes = aheadBytes + 8;
  static constexpr size_t ownSlots = fartherBytes + 8;

  // ---- Registers
  // -------------------------------------------------------------------------------------------------- rax and
  // rdx are temporaries everywhere; emitProducts uses rcx and rdi as counters. rbx counts tokens of a unit.
  const Reg64 weightRow = rsi, spanIndex = rcx, passOffset = rdi, tokenCursor = rbx;
  const Reg64 scaleIndex = rdx;                     // K-quants
  const Reg64 prefetchCursor = rbp;                 // wide: where this loop prefetches in the next unit
  Reg64 token(int t) const { return Reg64(8 + t); } // activations of token t of the tile

  // Reads `prefetch`: whether the tile loops prefetch the weights of later units (frame slots aheadBytes and,
  // for quantised formats when wide, fartherBytes).
  void readPrefetch(const Params &params);
  bool prefetches() const { return prefetchesNext; }
  // How many units ahead the farther one is, of all matrices made so far.
  int fartherUnits() const;
  // Checks `k` against the format and prepares a decoder.
  MatrixWeights makeWeights(const KtTypeInfo &format, int64_t k);
  // Token counts of the tiles for at most `m` tokens, largest first. `exact`: only those a count of m needs.
  std::vector<int> tileSizes(int64_t m, bool exact) const;
  // Bytes from one row of activations to the next if rows are dense.
  static int64_t denseActivationBytes(const MatrixWeights &weights);

  // float[t][row] at frame slot `results` = rows of `weights` starting at `weightRow`, times token(t), for
  // `rows` (1..4) rows and `tokens` tokens. Changes weightRow, spanIndex, passOffset, rax, rdx and all vector
  // registers.
  void emitProducts(const MatrixWeights &weights, int tokens, int rows, size_t results);

  // Emits a loop over `count` tokens (frame slot, dword): for each tile size, body(tokens) while that many are
  // left, with tokenCursor at the first token of the tile.
  void emitTiles(size_t count, const std::vector<int> &sizes, const std::function<void(int)> &body);

  // The first `rows` (1..4) floats at `src`, or to `dst`; never touches more. `mask` is clobbered when rows
  // < 4.
  void loadRows(const Xmm &dst, const Xbyak::RegExp &src, int rows);
  void storeRows(const Xbyak::RegExp &dst, const Xmm &src, int rows, const Xmm &mask);

  // Registers of the block decoders.
  DecodeRegisters decodeRegisters() const;

private:
  struct Tile {
    const MatrixWeights &weights;
    int tokens, rows;
  };

  bool prefetchesNext = false;
  int64_t smallestUnit = INT64_MAX; // bytes of a unit

  int rowsPerPass(const MatrixWeights &weights, int tokens, int rows) const;
  Vec accumulator(const Tile &tile, int row, int t) const;
  Xbyak::RegExp quants(int t) const { return token(t) + spanIndex * 8; }
  Xbyak::RegExp scales(const Tile &tile, int t) const;
  Xbyak::RegExp sums(const Tile &tile, int t) const;

  void emitPass(const Tile &tile, size_t results);
  void emitSpans(const Tile &tile);
  void emitSpan(const Tile &tile, int blocks);
  void emitOffsets(const Tile &tile, int row, int blocks);
  void emitScaleProducts(const Tile &tile, int blocks);
  void emitGroup(const Tile &tile, int row, int group);
  Vec emitDot(int t, int group, const DecodeRegisters &regs, const BlockDecoder &decoder);

  // dx of token t's block of q8k, and its sums of 16.
  Xbyak::RegExp blockScale(const Tile &tile, int t) const {
    return token(t) + scaleIndex + ktQ8kScaleOffset(tile.weights.k);
  }
  Xbyak::RegExp blockSixteenths(const Tile &tile, int t) const {
    return token(t) + spanIndex + ktQ8kSumOffset(tile.weights.k);
  }
  // Prefetches what lies in the next unit where the next `bytes` of each row lie in this one, if asked to.
  // Clobbers rax.
  void emitPrefetch(const LaneRows &rows, int64_t bytes);
  void emitTransposedSums(int first);

  // The narrow loop of the K-quants (block_loop.cpp).
  DecodeRegisters blockRegisters() const;
  BlockHeader::Registers headerRegisters() const;
  Xbyak::RegExp blockSum(int t, int row) const;
  Xbyak::RegExp blockFactor(int t, int half) const;
  void emitBlocks(const Tile &tile, size_t results);
  void emitBlockHeader(const Tile &tile, int row);
  void addPairs(const Vec &acc, const Vec &a, const Vec &b);
  void emitBlockRow(const Tile &tile, int row);
  void emitBlockResults(const Tile &tile, int t, size_t results);

  // The wide loops (lane_loop.cpp).
  Xbyak::RegExp laneSum(int t) const { return frame(laneSums + size_t(t) * 64); }
  Xbyak::RegExp laneOffset(int t) const { return frame(laneOffsets + size_t(t) * 128); }
  Xbyak::RegExp laneFactor(int t) const { return frame(laneFactors + size_t(t) * 128); }
  void emitLanes(const Tile &tile, size_t results);
  void emitLanePrefetch(const LaneRows &rows, int64_t bytes, int step, int steps);
  void emitLaneDot(int t, int sub, int half, const Vec &weights, bool first);
  void emitLaneBlock(const Tile &tile);
  void emitLaneHeader(const Tile &tile);
  void emitLaneSub(const Tile &tile, int sub, int at, bool first);
  void emitLaneBlockSum(const Tile &tile, int t);
  void emitLaneSpan(const Tile &tile, int blocks);
  void emitLaneFactors(const Tile &tile, int t, int blocks);
  void emitLaneProduct(const Tile &tile, int t, int sub, int at);
  void emitLaneResults(const Tile &tile, int t, size_t results);

  void emitFloats(const Tile &tile);
  void emitFloatStep(const Tile &tile, int count);
  void emitFloatWeights(const Vec &dst, const MatrixWeights &weights, const Xbyak::RegExp &src, int count);
  void emitReduction(const Tile &tile, int t, size_t results);
};

} // namespace ktc::x64
