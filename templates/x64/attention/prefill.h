// Flash-style attention for many tokens: blocks of query rows against blocks of keys.
//
// A *row* is one head of one token. The rows of one KV head are taken in blocks of up to `place.rows`; a block
// goes over the positions it may see, `keyBlock` at a time and from multiples of `keyBlock` on. Keys and values
// of such a block are converted once (*packed*) for all rows. Everything is computed transposed, with a lane
// per row, so that a running maximum or sum is one lane of a vector and nothing is ever added across lanes:
//
//   S[key][row]    = K[key] . Q[row]                 Q packed once per block of rows, times scale * log2 e
//   m, p = 2^(S-m)   running maximum per row         masked scores are so low that p = 0
//   Y[v][row]      = Y * 2^(m_old - m) + V^T p       divided by the sum of p and transposed at the end
//
// A *tile* of rows is two vectors wide. With Amx and a cache of bf16 or q8_0, K, Q, V and p are rounded to
// bfloat16 and multiplied by tile instructions; else all is float32 with FMA. A row's operations depend on its
// own position alone: key blocks it does not see change nothing (p = 0, factor 1), so the rows beside it, the
// number of tokens and the split of the work do not matter.
#pragma once

#include "templates/x64/attention/attention.h"
#include "templates/x64/emitter.h"

namespace ktc::x64 {

class PrefillAttention : public Emitter {
public:
  PrefillAttention(const Target &target, const AttentionShape &shape);
  Kernel emit();

private:
  // Scores are powers of two: initial maximum, and the score of a position that is not seen.
  static constexpr float lowestMaximum = -1e30f, maskedScore = -2e30f;
  static constexpr int tileBytes = 1024; // an AMX tile: 16 rows of 64 bytes

  // Part of a cache row that is packed: its first byte and its elements.
  struct Piece {
    int64_t offset, length;
  };
  // Offsets in the scratch, and the sizes they follow from.
  struct Layout {
    int64_t rows;                        // of a block; a multiple of tileRows
    int64_t queryTile, resultTile;       // bytes of a tile's packed query and result
    int64_t keySteps, valueSteps;        // tiles: steps of 32 elements in a packed key or value
    int64_t keyElements, resultElements; // padded for tiles
    int64_t queryRows[2], resultRows;    // tables of addresses, by row
    int64_t last, first, maxima, sums;   // by row
    int64_t tiles;                       // int32 [tile][4]: least and largest last, least and largest first
    int64_t query, result, keys, staged, values, scores, weights, bytes;
  };
  enum Slot : size_t {
    Operands = 0, // 6
    Unit = 48,
    UnitEnd = 56,
    Tokens = 64,
    KvHead = 72,
    RangeEnd = 80, // first token behind the range of tokens that is worked on, then the other range
    HighBegin = 88,
    HighEnd = 96,
    Token0 = 104, // first token of the range
    Rows = 112,   // rows of the range, the first one of the block, and how many the block has
    Row0 = 120,
    Count = 128,
    TileCount = 136,
    KeyBegin = 144, // positions that the block of rows sees, and those of the current block of keys
    KeyEnd = 152,
    Key = 160,
    Valid = 168,
    KeyRow = 176, // address of the block's first key and value
    ValueRow = 184,
    HasScores = 192, // whether there are scores of the tile of rows already
    FrameEnd = 200
  };

  bool usesTiles() const;
  bool sharesValues() const { return shape.values.operand == shape.keys.operand; }
  Layout layout() const;
  Xbyak::Address slot(size_t offset) { return qword[frame(offset)]; }
  // Address base + scratch offset, `base` being the scratch or something in it.
  Xbyak::RegExp at(const Reg64 &base, int64_t offset) const { return base + static_cast<int>(offset); }

  // prefill.cpp: loops and bookkeeping
  void emitUnits();
  void emitRange();
  void emitBlock();
  void emitRowTables();
  void emitRowAddress(int64_t table, int operand, int64_t tokenStride, int64_t headStride);
  void emitTileBounds();
  void emitKeyBlocks();
  void emitCacheRow(const CacheSide &side, Slot to);
  void emitTile();
  void emitUnseen(int offset, Xbyak::Label &unseen);

  // prefill_pack.cpp: queries, keys and values in, results out
  void emitPackQueries();
  void emitPackQueryVectors(const QuerySegment &segment, int64_t table, int64_t to);
  void emitClearResults();
  void emitPackKeys();
  void emitPackRows(Slot from, int64_t rowBytes, const std::vector<Piece> &pieces, int64_t to, int64_t steps);
  void emitPackRow(const std::vector<Piece> &pieces, bool zeroRow);
  void emitLoadCache(const Vec &dst, int64_t offset, int64_t element, int elements);
  void emitTransposeValues();
  void emitStoreResults();

  // prefill_products.cpp: S = K Q and Y += V p
  void emitScores();
  void emitTileStep(const Xbyak::RegExp &first, const Xbyak::RegExp &second, const Xbyak::RegExp &right);
  void emitTileScores();
  void emitTileTurn(int turn);
  void emitFloatScores();
  void emitValues();
  void emitTileValues();
  void emitFloatValues();

  // prefill_softmax.cpp
  void emitMask();
  void emitMaskHalf(int half);
  void emitSoftmax();
  void emitMaxima();
  void emitWeights();
  void emitWeightsBesideScores();
  void emitWeightConstants();
  void emitWeight(int half, int key, int pair);
  void emitWeightPair(int half, int pair);
  void emitRescale();

  const AttentionShape shape;
  const int tileRows;
  const int keyBlock; // keys packed at a time; a multiple of 32
  const std::vector<Piece> keyPieces, valuePieces;
  const Layout place;

  // Everywhere: the scratch. In the loop over tiles (rbx: tiles left, r15: bounds): packed query, result, and
  // what to add place.last, … to.
  const Reg64 scratch = Xbyak::util::rbp;
  const Reg64 queryTile = Xbyak::util::r12, resultTile = Xbyak::util::r13, rowTile = Xbyak::util::r14;
};

} // namespace ktc::x64
