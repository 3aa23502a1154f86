// The panel path of linear, gate_up and down: many tokens at once, for prefill.
//
// The tiles of MatrixKernel decode weights again for every eight tokens. Here sixteen rows of a matrix are
// decoded once into a *panel* of bytes, and activations are packed once per thread so that the bytes of sixteen
// tokens lie side by side; products of 16 rows x 16 tokens then need no shuffles, and every scale is a vector
// of tokens times a broadcast value of a row. Amx multiplies such a block with one tile instruction, Avx512
// with vpdpbusd.
//
// The sum of one output is built block by block along k, the same way in every lane: it depends neither on the
// other tokens, nor on the other rows, nor on how many of either there are.
//
// A span of 256 weights is panelSpanStride bytes in both forms, a shorter one at the end of a row too:
//   panel   u8 or s8 w[4 groups of 64][16 rows][64] · float S[16 rows][16 sub-blocks of 16] · float M[16][16]
//   packed  s8 q[64 groups of 4][16 tokens][4] · float d[8 blocks][16 tokens] · s of 32 [8][16] · s of 16
//   [16][16]
#pragma once

#include "templates/x64/matrix/matrix_kernel.h"

namespace ktc::x64 {

class PanelKernel : public MatrixKernel {
public:
  using MatrixKernel::MatrixKernel;

protected:
  static constexpr int panelRows = 16, panelTokens = 16;

  enum PanelSlot : size_t {
    TokenRows = MatrixKernel::ownSlots, // address of each token's q8 row, for sixteen tokens
    Scratch = TokenRows + 8 * panelTokens,
    RowBegin = Scratch + 8, // weight rows of this call
    RowEnd = RowBegin + 8,
    Row = RowEnd + 8, // first row of the panel, and how many rows it has
    RowCount = Row + 8,
    TokenTotal = RowCount + 8,   // tokens of the matrix
    ChunkBegin = TokenTotal + 8, // tokens that are packed
    ChunkEnd = ChunkBegin + 8,
    FirstToken = ChunkEnd + 8, // first token of the current sixteen, and its address in the packed form
    Packed = FirstToken + 8,
    PanelFrameEnd = Packed + 8
  };
  static constexpr size_t ownSlots = PanelFrameEnd;

  // One matrix of a panel pass.
  struct PanelMatrix {
    const MatrixWeights *weights;
    // Emits weightRow = address of the row in frame slot Row. May clobber rax, rdx, r8.
    std::function<void()> address;
  };
  // What a family adds to the loops.
  struct PanelPass {
    std::vector<PanelMatrix> matrices; // all with the same k
    // Emits rax = address of the q8 row of the token number in rax. May clobber rcx and rdx.
    std::function<void()> tokenRow;
    // Emits the use of one token's results: token number in tokenCursor, sixteen floats of matrix i at
    // r10 + i * resultBytes, absent rows hold anything; k1 masks the rows that exist. May clobber rax, rcx,
    // rdx, r8, r9, k7 and vector registers.
    std::function<void()> store;
  };
  static constexpr int resultBytes = panelRows * panelTokens * 4;

  // True if a kernel for at most `m` tokens gets a panel path for these matrices.
  bool usesPanels(int64_t m, const std::vector<const MatrixWeights *> &matrices) const;
  // Bytes of scratch of a pass over `m` tokens, at most.
  size_t panelScratch(int64_t m, int64_t k, size_t matrices) const;
  // Loads the scratch address (`args` must be intact) and, for Amx, the tile shapes.
  void emitPanelPrologue();
  // Gives the tiles back. Only after emitPanelPrologue().
  void emitPanelEpilogue();
  // The products of the rows RowBegin..RowEnd (frame slots) with TokenTotal (frame slot) tokens. Changes all
  // registers.
  void emitPanels(const PanelPass &pass, int64_t m);

private:
  struct Layout {
    int64_t spans, chunk;          // spans of a row, tokens that are packed at a time
    int64_t panels, packed, bytes; // offsets in the scratch, and its size
    int64_t panelBytes;
  };
  Layout layout(int64_t m, int64_t k, size_t matrices) const;
  bool usesTiles() const { return isa == Isa::Amx; }
  // Amx multiplies signed bytes, so w = S * (u + multiple) needs no sums.
  bool storesSigned(const MatrixWeights &weights) const;
  bool hasOffsets(const MatrixWeights &weights) const;

  void emitPackChunk(const PanelPass &pass, const Layout &place);
  void emitTokenRows(const PanelPass &pass);
  void emitPack(const MatrixWeights &weights);
  void emitPackSpan(int64_t k, int blocks);
  void emitTransposed(int chunks, const Reg64 &offset, int64_t from, int to, bool addPairs);
  void emitTransposedTail(const Reg64 &offset, int64_t from, int column);
  void emitColumns(int first, int to);

  void emitDecode(const PanelMatrix &matrix, int64_t panel);
  void emitDecodeSpan(const MatrixWeights &weights, int blocks);

  void emitRowTiles(const PanelPass &pass, const Layout &place);
  void emitPanelProducts(const MatrixWeights &weights, int64_t panel, int64_t results);
  void emitProductSpan(const MatrixWeights &weights, int blocks);
  void emitTileProduct(const MatrixWeights &weights, int part);
  void emitRowDot(const MatrixWeights &weights, int row, int part, const Vec &dot);
  void emitBlockSums(const MatrixWeights &weights, int block);
  void emitBlockOffsets(const MatrixWeights &weights, int block);
  void emitResults(int64_t results);
};

} // namespace ktc::x64
