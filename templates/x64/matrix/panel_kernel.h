// The panel path of linear, gate_up and down: many tokens at once, for prefill.
//
// The tiles of MatrixKernel decode weights again for every eight tokens. Here 32 rows of a matrix are decoded
// once per 256 weights of k (a *span*) into a panel of bytes with one scale per row and span
// (panel/panel_decoder.h), and the tokens are packed once per thread so that the bytes of sixteen tokens lie
// side by side, also with one scale per token and span. Integer sums then run over a whole span:
//   product[row][token] += float(sum over the span of byte[row] * q[token]) * D[row] * d[token]
// Amx sums a span of 16 rows x 16 tokens with four tile instructions: rows of weights are the rows of the first
// operand as they are, packed tokens are the second. Avx512 uses vpdpbusd with weights plus 128, whose surplus
// the packed sums take away.
//
// The sum of one output is built span by span along k, the same way in every lane: it depends neither on the
// other tokens, nor on the other rows, nor on how many of either there are.
//
// Float weights are multiplied as sums of bfloat16 parts with bfloat16 tiles, on Amx only (panel_floats.cpp).
//
// Spans are the outer loop of a row block: its panel and its products stay in the first-level cache, and packed
// tokens are read once per span.
#pragma once

#include "templates/specs.h"
#include "templates/x64/matrix/matrix_kernel.h"

namespace ktc::x64 {

class PanelDecoder;

class PanelKernel : public MatrixKernel {
public:
  using MatrixKernel::MatrixKernel;

protected:
  static constexpr int panelRows = 32, panelTokens = 16;

  enum PanelSlot : size_t {
    // Address of each token's row of activations, or of results, for sixteen tokens and for the sixteen after
    // them.
    TokenRows = MatrixKernel::ownSlots,
    NextRows = TokenRows + 8 * panelTokens,
    Scratch = NextRows + 8 * panelTokens,
    RowBegin = Scratch + 8, // weight rows of this call
    RowEnd = RowBegin + 8,
    Row = RowEnd + 8, // first row of the panel (when storing: of the tile), and how many rows it has
    RowCount = Row + 8,
    TokenTotal = RowCount + 8,   // tokens of the matrix
    ChunkBegin = TokenTotal + 8, // tokens that are packed, and how many sixteens they are
    ChunkEnd = ChunkBegin + 8,
    ChunkBlocks = ChunkEnd + 8,
    FirstToken = ChunkBlocks + 8, // first token of the current sixteen
    Packed = FirstToken + 8,      // their packed form, their products
    Products = Packed + 8,
    SpanRow = Products + 8, // address of the first row at the span to decode, rows it has, first one to decode
    DecodeCount = SpanRow + 8,
    DecodeRow = DecodeCount + 8,
    AheadBytes = DecodeRow + 8, // from a row of the block to decode to the rows to prefetch
    SpansLeft = AheadBytes + 8,
    Panel = SpansLeft + 8, // panel and scales in use, those in the making
    Scales = Panel + 8,
    NextPanel = Scales + 8,
    NextScales = NextPanel + 8,
    BlockProducts = NextScales + 8,   // products of the current block
    PastProducts = BlockProducts + 8, // of the block that is summed but not scaled
    NextPacked = PastProducts + 8,    // tokens behind the last block of the span
    HalfFrom = NextPacked + 8,        // minus the steps left from which on a block has sixteen tokens only
    TokenBegin = HalfFrom + 8,        // packed tokens: first one to multiply
    ChunkPacked = TokenBegin + 8,     // address of the chunk's first packed token, if tokens come packed
    PackedTotal = ChunkPacked + 8,    // tokens that are packed side by side
    SpanStep = PackedTotal + 8,       // bytes from the packed tokens of a span to those of the next one
    AheadPacked = SpanStep + 8,       // from a packed token to the one to prefetch
    PanelFrameEnd = AheadPacked + 8
  };
  static constexpr size_t ownSlots = PanelFrameEnd;

  // One matrix of a panel pass.
  struct PanelMatrix {
    const MatrixWeights *weights;
    // Emits weightRow = address of the row in frame slot Row. May clobber rax, rdx, r8.
    std::function<void()> address;
    // Emits rax = bytes from the rows of the current block to those that this call decodes next behind the last
    // block of rows. May clobber rcx, rdx. Null: there are none.
    std::function<void()> ahead;
  };
  // What a family adds to the loops.
  struct PanelPass {
    std::vector<PanelMatrix> matrices; // all with the same k and kind of activations
    // Emits rax = address of the activation row of the token number in rax. May clobber rcx and rdx.
    std::function<void()> tokenRow;
    // For tokens that come packed (family `pack`) instead: emits rax = address of what is packed of them.
    std::function<void()> packed;
    // Packed tokens: emits rax = bytes from those of this chunk to what is multiplied next. May clobber rcx,
    // rdx.
    std::function<void()> packedAhead;
    // Emits rax = address of the results of the token number in rax. May clobber rcx and rdx.
    std::function<void()> resultRow;
    // Emits what the sixteen rows of a tile need before their results are there, whose row is r12 / 4: it may
    // put up to 128 bytes to r9, where the others find them. k1 masks the rows that the tile has. May clobber
    // rax, rdx and zmm0. Null: nothing.
    std::function<void()> prepare;
    // With two matrices emits `value` = what becomes of the results of row `row` (0..15) for sixteen tokens:
    // those of the first matrix are in `value`, of the second in `second`. May clobber `second` and zmm16 to
    // zmm27.
    std::function<void(const Vec &value, const Vec &second, int row)> combine;
    // Emits the use of `value`, the results of sixteen rows for token tokenCursor + `token`: rax is their place
    // in its resultRow; k1 masks the rows that exist, others hold anything. May clobber rax, rcx, rdx, r8 and
    // zmm16-zmm31.
    std::function<void(const Vec &value, int token)> store;
  };

  // Reads `packed`: tokens come packed, and up to `blocks` blocks of them are multiplied before the next.
  void readPackedTokens(const Params &params, int64_t blocks) {
    isPacked = readPacked(params);
    mostBlocks = blocks;
  }
  bool takesPacked() const { return isPacked; }
  // Most tokens that are multiplied by all rows before the next ones.
  int64_t chunkTokens(int64_t m, const MatrixWeights &weights) const {
    return layout(m, weights, 1).blocks * panelTokens;
  }

  // Reads `exact`: no panels, whose weights are rounded again.
  void readExact(const Params &params) {
    isExact = flag(params, "exact");
    needGpu("x_type", isBfloat(params, "x_type"));
    needGpu("y_type", isBfloat(params, "y_type"));
  }
  // True if a kernel for at most `m` tokens gets a panel path for these matrices.
  bool usesPanels(int64_t m, const std::vector<const MatrixWeights *> &matrices) const;
  // Bytes of scratch of a pass over `m` tokens, at most.
  size_t panelScratch(int64_t m, const MatrixWeights &weights, size_t matrices) const;
  // Loads the scratch address (`args` must be intact) and, for Amx, the tile shapes.
  void emitPanelPrologue();
  // Gives the tiles back. Only after emitPanelPrologue().
  void emitPanelEpilogue();
  // RowBegin, RowEnd = weight rows of the units in two frame slots (dwords), of a matrix with `n` rows.
  // Clobbers rax, rdx.
  void emitPanelRows(size_t unitBegin, size_t unitEnd, int64_t n);
  // The products of the rows RowBegin..RowEnd with TokenTotal tokens (all frame slots), or with packed tokens
  // with those from TokenBegin on. Changes all registers.
  void emitPanels(const PanelPass &pass, int64_t m);

  // SpanStep = bytes of a span of packed rows, as many as rax says. Clobbers rax.
  void emitSpanStep();
  // rax = min(rax, slot).
  void emitLimit(size_t slot);
  // NextRows = what `address` makes of the numbers of the sixteen tokens that are `ahead` tokens behind
  // FirstToken; behind ChunkEnd that of the last one again, so that lanes without a token read something valid.
  // `use` may look at each of them in rax and may clobber rdx.
  void emitNextRows(int ahead, const std::function<void()> &address, const std::function<void()> &use);
  // TokenRows = NextRows.
  void emitTakeNextRows();
  // Packs the quantised rows of `k` elements at TokenRows to Packed, a span every SpanStep bytes, and
  // prefetches those at NextRows. Changes all registers; uses the scratch where panels are.
  void emitPackBytes(int64_t k, bool fromQ8k);

private:
  bool isExact = false, isPacked = false;
  int64_t mostBlocks = 0;
  struct Layout {
    int64_t spans;                 // of a row
    int64_t packedBytes;           // of sixteen tokens and a span
    int64_t budget;                // of all packed tokens
    int64_t firstProducts;         // offset of the products of matrix 0 in the scratch
    int64_t blocks = 0;            // sixteens of tokens that are packed at a time
    int64_t places = 0;            // offset of the addresses of their results, and of sixteen more
    int64_t packed = 0, bytes = 0; // offset of the packed tokens in the scratch, and its size
    int64_t products(size_t matrix) const;
  };
  Layout layout(int64_t m, const MatrixWeights &weights, size_t matrices) const;
  Layout floatLayout(int64_t m, int64_t k, size_t matrices) const;
  // Fills in the rest of `place`, whose first four members are given.
  Layout makeLayout(int64_t m, Layout place, size_t matrices) const;
  bool usesFloatPanels(const std::vector<const MatrixWeights *> &matrices) const;
  bool usesTiles() const { return isa == Isa::Amx; }
  void emitScratch(const Reg64 &dst, int64_t offset);

  // panel_pack.cpp
  void emitPackChunk(const PanelPass &pass, const Layout &place);
  void emitGatherScales();
  void emitRescaled(PanelDecoder &decoder, int blocks);
  void emitTransposedSpan(int blocks, const std::function<Xbyak::RegExp(int)> &row);
  void emitTransposedGroup(const std::function<Xbyak::RegExp(int)> &row);

  // panel_kernel.cpp
  void emitPackedChunk(const PanelPass &pass);
  void emitPackedPrefetch();
  void emitRowBlock(const PanelPass &pass, const Layout &place, Label &products);
  void emitMatrix(const PanelPass &pass, const Layout &place, size_t index, Label &products);
  void emitDecodeFrom(const PanelMatrix &matrix);
  void emitDecodeNext(const PanelPass &pass, size_t index);
  void emitDecode(const MatrixWeights &weights, PanelDecoder &decoder, int blocks);
  void emitGather(const MatrixWeights &weights, PanelDecoder &decoder, int blocks);
  void emitDecodeGroup(const MatrixWeights &weights, PanelDecoder &decoder, int blocks,
                       const std::function<void()> &between);
  void emitRowAddresses(const MatrixWeights &weights, const PanelDecoder &decoder);
  void emitSwapPanels();

  // panel_stream.cpp
  void emitStreamStart();
  void emitStream(const PanelPass &pass, const Layout &place, size_t index, PanelDecoder &decoder);
  void emitStreamEnd();
  void emitSteps(int count, const std::function<void(const std::function<void()> &)> &work);
  void emitFirstTiles();
  void emitLoadWeights(int row);
  void emitLoadTokens(int token);
  void emitStepStart();
  void emitStepEnd();
  void emitStepScaling(int row);
  void emitBlockEnd();

  // panel_store.cpp
  void emitPlaces(const PanelPass &pass, const Layout &place);
  void emitStores(const PanelPass &pass, const Layout &place);
  void emitTileStores(const PanelPass &pass, const Layout &place);

  // panel_floats.cpp
  void emitFloatMatrix(const PanelMatrix &matrix, const Layout &place, size_t index);
  void emitSplit();
  void emitFloatPanel(const MatrixWeights &weights, int groups);
  void emitFloatProducts(const MatrixWeights &weights, const Layout &place, size_t index);
  void emitPackFloats(int64_t k, const Layout &place);
  void emitPackFloatSpan(int groups);

  // panel_products.cpp
  void emitSpanProducts();
  void emitTileBlock(int rowTiles, int tokenTiles);
  void emitTileScaling(int rowTiles, int tokenTiles);
  void emitVectorBlock(int tokenTiles);
};

} // namespace ktc::x64
