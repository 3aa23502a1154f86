// attention_gqa and attention_mla, for one token (positions split over blocks) and for many.
//
// A row is a query head of a token; the rows of a block share the KV head. With splits a block has rows of one
// token and part of its positions; otherwise rows of consecutive tokens and all positions that one of them
// sees.
#pragma once

#include "attention_splits.cuh"
#include "attention_tiles.cuh"

namespace kt {

// Queries and caches of attention_gqa. All strides in elements.
template <int Heads_, int KvHeads_, int HeadDim, int VDim, int64_t QStride, int64_t YStride>
struct GqaOperands {
  static constexpr int heads = Heads_, kvHeads = KvHeads_, keyLength = HeadDim, valueLength = VDim;
  static constexpr bool joined = false;
  static constexpr int keyOperand = 1, valueOperand = 2;
  static constexpr int64_t keyStride = KvHeads_ * HeadDim, valueStride = KvHeads_ * VDim, yStride = YStride;
  static constexpr bool bfloatQ = false;
  static constexpr bool quads = HeadDim % 4 == 0 && QStride % 4 == 0; // of queries are aligned
  // Element i of a query.
  static __device__ const float *query(const KtCudaArgs &args, int token, int head, int i) {
    return static_cast<const float *>(args.operands[0]) + token * QStride + head * HeadDim + i;
  }
};

// The same of attention_mla: all heads share a row of the cache, whose first part is also the value. BfloatQ:
// operand 0 has whole queries as bfloat16.
template <int Heads_, int Latent, int Rotary, int64_t QStride, int64_t QRowStride, bool BfloatQ>
struct MlaOperands {
  static constexpr int heads = Heads_, kvHeads = 1, keyLength = Latent + Rotary, valueLength = Latent;
  static constexpr bool joined = true;
  static constexpr int keyOperand = 2, valueOperand = 2;
  static constexpr int64_t keyStride = Latent + Rotary, valueStride = keyStride,
                           yStride = int64_t(Heads_) * Latent;
  static constexpr bool bfloatQ = BfloatQ;
  static constexpr bool quads = Latent % 4 == 0 && Rotary % 4 == 0 && QStride % 4 == 0 && QRowStride % 4 == 0;
  static __device__ const float *query(const KtCudaArgs &args, int token, int head, int i) {
    return i < Latent
               ? static_cast<const float *>(args.operands[0]) + (int64_t(token) * Heads_ + head) * Latent + i
               : static_cast<const float *>(args.operands[1]) + token * QStride + head * QRowStride + i -
                     Latent;
  }
};

template <class Operands, CacheType Type, class Block, uint32_t Scale, int Window, bool Sinks, int Splits,
          int SplitPositions, bool Merge, bool BfloatY, bool Dynamic, int M>
struct Attention {
  using Shape = AttentionShape<Type, Operands::keyLength, Operands::valueLength, Operands::joined, Block>;
  using Tiles = AttentionTiles<Shape, Block>;
  using State = typename Tiles::State;
  static constexpr int group = Operands::heads / Operands::kvHeads;
  static constexpr int rowBlocks = (group + Block::rows - 1) / Block::rows; // of a token, with splits

  // Which rows and positions a block has.
  struct Work {
    int token, kvHead, split; // token: the first (with splits: the only) one
    int firstRow, rowCount;   // rows of the KV head, `group` per token, from that of `token` on
    int begin, end;           // positions
    int splits;               // that the token has
    int last;                 // with splits: the token's position
    __device__ int rowToken(int row) const { return token + (firstRow + row) / group; }
    __device__ int rowHead(int row) const { return kvHead * group + (firstRow + row) % group; }
  };

  static __device__ int position(const KtCudaArgs &args, int token) {
    return static_cast<const int32_t *>(args.operands[4])[token];
  }
  static __device__ int firstSeen(int position) {
    return Window > 0 && position >= Window ? position + 1 - Window : 0;
  }

  // With splits: block (row block and KV head, split, token).
  static __device__ void findRowsOfSplit(Work &work) {
    work.token = blockIdx.z;
    work.split = blockIdx.y;
    work.kvHead = blockIdx.x / rowBlocks;
    work.firstRow = blockIdx.x % rowBlocks * Block::rows;
    work.rowCount = min(Block::rows, group - work.firstRow);
  }
  // Its positions. False if there is nothing to do.
  static __device__ bool findSplit(const KtCudaArgs &args, Work &work) {
    const int last = position(args, work.token), first = firstSeen(last), length = last + 1 - first;
    const int count = splitCount<SplitPositions, Splits>(length);
    if (work.split >= count)
      return false;
    work.splits = count;
    work.last = last;
    const int share = ((length + count - 1) / count + 15) / 16 * 16;
    work.begin = min(last + 1, first + work.split * share);
    work.end = min(last + 1, work.begin + share);
    return true;
  }

  // Without: block (rows, KV head). Later tokens see more and come first. Tiles begin at multiples of their
  // size, so that a token's result does not depend on the others in its block.
  static __device__ bool findRows(const KtCudaArgs &args, Work &work) {
    const int rows = tokenCount<Dynamic, M>(args) * group, blocks = (rows + Block::rows - 1) / Block::rows;
    const int block = blocks - 1 - static_cast<int>(blockIdx.x);
    if (block < 0)
      return false;
    work.token = block * Block::rows / group;
    work.firstRow = block * Block::rows % group;
    work.kvHead = blockIdx.y;
    work.split = 0;
    work.splits = 1;
    work.rowCount = min(Block::rows, rows - block * Block::rows);
    int first = 0x7fffffff, last = 0;
    for (int token = work.token; token <= work.rowToken(work.rowCount - 1); ++token) {
      const int at = position(args, token);
      first = min(first, firstSeen(at));
      last = max(last, at);
    }
    work.begin = first / Block::keys * Block::keys;
    work.end = last + 1;
    return true;
  }

  // The largest float16 where a query would not fit into one.
  static __device__ float limited(float value) {
    return Type == CacheType::Half ? fminf(fmaxf(value, -65504.0f), 65504.0f) : value;
  }

  // The last position that row `row` sees; none if there is no such row.
  static __device__ int lastSeen(const KtCudaArgs &args, const Work &work, int row) {
    if (row >= work.rowCount)
      return -1;
    return Splits > 1 ? work.last : position(args, work.rowToken(row));
  }

  // `Count` elements of a query as 16-bit floats in a word or two; zeros where there is none.
  template <int Count>
  static __device__ void readQuery(const KtCudaArgs &args, const Work &work, int row, int column,
                                   float (&values)[Count]) {
    const bool valid = row < work.rowCount && column < Shape::keyLength;
    const float *from = valid ? Operands::query(args, work.rowToken(row), work.rowHead(row), column) : nullptr;
    if constexpr (Count == 4) {
      const float4 four = valid ? *reinterpret_cast<const float4 *>(from) : make_float4(0, 0, 0, 0);
      values[0] = four.x, values[1] = four.y, values[2] = four.z, values[3] = four.w;
    } else {
#pragma unroll
      for (int i = 0; i < Count; ++i)
        values[i] = valid ? from[i] : 0.0f;
    }
  }

  // Queries in 16-bit floats. All loads of a decoded token are under way at a time: one after the other they
  // would take longer than all else that a short context needs.
  static __device__ void loadQueries(const KtCudaArgs &args, const Work &work, uint16_t *queries) {
    constexpr int count = Operands::quads ? 4 : 2, pieces = Shape::keyPad / count, all = Block::rows * pieces;
    constexpr int needed = (all + Block::threads - 1) / Block::threads, batch = needed < 9 ? needed : 9;
    for (int first = threadIdx.x; first < all; first += batch * Block::threads) {
      float values[batch][count];
#pragma unroll
      for (int i = 0; i < batch; ++i) {
        const int at = first + i * Block::threads;
        readQuery(args, work, at / pieces, at % pieces * count, values[i]);
      }
#pragma unroll
      for (int i = 0; i < batch; ++i) {
        const int at = first + i * Block::threads;
        uint32_t *to =
            reinterpret_cast<uint32_t *>(queries + at / pieces * Shape::keyStride + at % pieces * count);
        if (at < all)
#pragma unroll
          for (int j = 0; j < count; j += 2)
            to[j / 2] = pack<typename Tiles::T>(limited(values[i][j]), limited(values[i][j + 1]));
      }
    }
  }

  // The same of bfloat16 queries: starts copies, of which the first tile's group has the end. They need no
  // position, so that they are on their way with it.
  static __device__ void copyQueries(const KtCudaArgs &args, const Work &work, uint16_t *queries) {
    constexpr int pieces = Shape::keyPad / 8, all = Block::rows * pieces;
    const uint16_t *from = static_cast<const uint16_t *>(args.operands[0]);
#pragma unroll
    for (int first = 0; first < all; first += Block::threads) {
      const int at = first + threadIdx.x, row = at / pieces, column = at % pieces * 8;
      const bool valid = row < work.rowCount && column < Shape::keyLength;
      if (all % Block::threads == 0 || at < all)
        copyAsync16(queries + row * Shape::keyStride + column,
                    valid ? from +
                                (int64_t(work.rowToken(row)) * Operands::heads + work.rowHead(row)) *
                                    Shape::keyLength +
                                column
                          : from,
                    valid);
    }
  }

  // Columns past the keys' length are multiplied with zeros: they must hold numbers.
  static __device__ void clearPadding(uint16_t *tiles) {
    constexpr int padding = Shape::keyPad - Shape::keyLength;
    if constexpr (padding > 0)
      for (int i = threadIdx.x; i < Block::stages * Block::keys * padding; i += Block::threads) {
        const int row = i / padding;
        tiles[row / Block::keys * Shape::tile + row % Block::keys * Shape::keyStride + Shape::keyLength +
              i % padding] = 0;
      }
  }

  static __device__ void storePair(void *y, int64_t at, float low, float high) {
    if constexpr (BfloatY) {
      static_cast<uint16_t *>(y)[at] = floatToBfloat(low);
      static_cast<uint16_t *>(y)[at + 1] = floatToBfloat(high);
    } else {
      static_cast<float *>(y)[at] = low;
      static_cast<float *>(y)[at + 1] = high;
    }
  }

  // What is left to do to the sums of a row that nobody merges: 1 / Σ p, with the sink among them.
  static __device__ float finalFactor(const KtCudaArgs &args, const State &state, int r, int head) {
    if constexpr (Sinks) {
      const float sink = static_cast<const float *>(args.operands[5])[head] * log2OfE;
      const float largest = fmaxf(sink, state.largest[r]);
      const float scaled = exp2f(state.largest[r] - largest);
      return scaled / (state.total[r] * scaled + exp2f(sink - largest));
    }
    return 1.0f / state.total[r];
  }

  // Results of whole rows pass shared memory, where the tiles were, so that they leave in whole lines: threads
  // hold pairs of many rows. With splits only.
  static constexpr int parkedRow = Shape::valueLength + 8;
  static constexpr bool parks =
      Splits > 1 && Shape::valueLength % 4 == 0 && 2 * Block::rows *parkedRow <= Block::stages *Shape::tile;

  static __device__ void storeRows(const KtCudaArgs &args, const Work &work, const State &state,
                                   float *parked) {
    const int lane = threadIdx.x % 32, column = Tiles::warpColumn() * (State::valueTiles * 8) + lane % 4 * 2;
    const bool all = hasAll(work);
    if constexpr (Block::columnWarps == 1)
      __syncthreads(); // otherwise the sums of totals were the last use of the tiles
#pragma unroll
    for (int r = 0; r < State::rows; ++r) {
      const int row = Tiles::blockRow(r);
      const float factor =
          all ? finalFactor(args, state, r, work.rowHead(row < work.rowCount ? row : 0)) : 1.0f;
      if (!all)
        storeScore(args, work, state, r);
#pragma unroll
      for (int v = 0; v < State::valueTiles; ++v)
        if (column + v * 8 < Shape::valueLength)
          *reinterpret_cast<float2 *>(parked + row * parkedRow + column + v * 8) = make_float2(
              state.sums[r / 2][v][r % 2 * 2] * factor, state.sums[r / 2][v][r % 2 * 2 + 1] * factor);
    }
    __syncthreads();
    constexpr int quads = Shape::valueLength / 4;
#pragma unroll 4
    for (int i = threadIdx.x; i < Block::rows * quads; i += Block::threads) {
      const int row = i / quads, at = i % quads * 4;
      if (row >= work.rowCount)
        break;
      const float4 value = *reinterpret_cast<const float4 *>(parked + row * parkedRow + at);
      if (!all) {
        *reinterpret_cast<float4 *>(partialOf(args, work, row) + at) = value;
        continue;
      }
      const int64_t to =
          work.rowToken(row) * Operands::yStride + int64_t(work.rowHead(row)) * Shape::valueLength + at;
      storePair(args.operands[3], to, value.x, value.y);
      storePair(args.operands[3], to + 2, value.z, value.w);
    }
  }

  static __device__ float *partialOf(const KtCudaArgs &args, const Work &work, int row) {
    return static_cast<float *>(args.operands[6]) +
           ((int64_t(work.rowToken(row)) * Operands::heads + work.rowHead(row)) * Splits + work.split) *
               (Shape::valueLength + 16);
  }
  // The largest score and the sum of a partial result.
  static __device__ void storeScore(const KtCudaArgs &args, const Work &work, const State &state, int r) {
    const int row = Tiles::blockRow(r);
    if (row >= work.rowCount || Tiles::warpColumn() != 0 || threadIdx.x % 4 != 0)
      return;
    float *partial = partialOf(args, work, row);
    partial[Shape::valueLength] =
        state.largest[r] == minusInfinity() ? -3.402823466e+38f : state.largest[r] * lnOf2;
    partial[Shape::valueLength + 1] = state.total[r];
  }

  // Row `r` of the state goes to y if the block has all its positions, else as a partial result to operand 6.
  static __device__ void storeRow(const KtCudaArgs &args, const Work &work, const State &state, int r) {
    const int row = Tiles::blockRow(r), lane = threadIdx.x % 32;
    if (row >= work.rowCount)
      return;
    const int token = work.rowToken(row), head = work.rowHead(row);
    const int column = Tiles::warpColumn() * (State::valueTiles * 8) + lane % 4 * 2;
    if (hasAll(work)) {
      const float factor = finalFactor(args, state, r, head);
      const int64_t at = token * Operands::yStride + int64_t(head) * Shape::valueLength;
#pragma unroll
      for (int v = 0; v < State::valueTiles; ++v)
        if (column + v * 8 < Shape::valueLength)
          storePair(args.operands[3], at + column + v * 8, state.sums[r / 2][v][r % 2 * 2] * factor,
                    state.sums[r / 2][v][r % 2 * 2 + 1] * factor);
      return;
    }
    storeScore(args, work, state, r);
    float *partial = partialOf(args, work, row);
#pragma unroll
    for (int v = 0; v < State::valueTiles; ++v)
      if (column + v * 8 < Shape::valueLength) {
        partial[column + v * 8] = state.sums[r / 2][v][r % 2 * 2];
        partial[column + v * 8 + 1] = state.sums[r / 2][v][r % 2 * 2 + 1];
      }
  }

  // True if there is nothing to merge. Most tokens of a short context need one split.
  static __device__ bool hasAll(const Work &work) { return Splits == 1 || (Merge && work.splits == 1); }

  static __device__ void run(const KtCudaArgs &args) {
    extern __shared__ __align__(128) uint16_t shared[];
    Work work;
    if constexpr (Splits > 1)
      findRowsOfSplit(work);
    constexpr bool copiesFirst = Operands::bfloatQ && Splits > 1;
    if constexpr (copiesFirst)
      copyQueries(args, work, shared + Shape::queries);
    if (!(Splits > 1 ? findSplit(args, work) : findRows(args, work)))
      return waitForCopies<0>();
    if constexpr (Operands::bfloatQ && !copiesFirst)
      copyQueries(args, work, shared + Shape::queries);
    const uint8_t *keys = static_cast<const uint8_t *>(args.operands[Operands::keyOperand]);
    const uint8_t *values = static_cast<const uint8_t *>(args.operands[Operands::valueOperand]);
    const auto load = [&](uint16_t *tile, int start) {
      loadTile<Type, Shape::keyLength, Shape::keyStride, Block>(
          tile, keys, Operands::keyStride, work.kvHead * Shape::keyLength, start, work.end);
      if constexpr (!Shape::joined)
        loadTile<Type, Shape::valueLength, Shape::valueStride, Block>(
            tile + Shape::keyTile, values, Operands::valueStride, work.kvHead * Shape::valueLength, start,
            work.end);
    };
    Tiles::start(shared, work.begin, work.end, load); // the rest happens while the copies are on their way
    clearPadding(shared + Shape::tiles);
    if constexpr (!Operands::bfloatQ)
      loadQueries(args, work, shared + Shape::queries);
    State state;
#pragma unroll
    for (int r = 0; r < State::rows; ++r) {
      const int last = lastSeen(args, work, Tiles::blockRow(r));
      state.first[r] = max(work.begin, firstSeen(last));
      state.last[r] = min(work.end - 1, last);
    }
    Tiles::run(state, shared, work.begin, work.end, __uint_as_float(Scale) * log2OfE, load);
    if constexpr (parks) {
      storeRows(args, work, state, reinterpret_cast<float *>(shared + Shape::tiles));
    } else {
#pragma unroll
      for (int r = 0; r < State::rows; ++r)
        storeRow(args, work, state, r);
    }
    if constexpr (Merge)
      if (!hasAll(work))
        mergeSplits(args, work, reinterpret_cast<float *>(shared));
  }

  // The last block of a token's rows puts the splits together. Operand 7 counts the blocks of the rows and
  // returns to 0 by itself. The order of sums does not depend on which block is the last.
  static __device__ void mergeSplits(const KtCudaArgs &args, const Work &work, float *shared) {
    static_assert(Splits > 1 && Shape::bytes >= 4 * Block::rows * Splits,
                  "factors take the place of the tiles");
    uint32_t *counter = static_cast<uint32_t *>(args.operands[7]) + work.token * gridDim.x + blockIdx.x;
    __threadfence(); // this thread's partial results before the count
    __syncthreads();
    const bool isLast = threadIdx.x == 0 && atomicInc(counter, work.splits - 1) == work.splits - 1;
    if (!__syncthreads_or(isLast))
      return;
    __threadfence(); // and the count before what others have left
    using Merged = SplitMerge<Shape::valueLength, Splits, Block::rows>;
    const int head = work.rowHead(0); // with splits all rows are heads of one token
    const float *partials = static_cast<const float *>(args.operands[6]) +
                            (int64_t(work.token) * Operands::heads + head) * Splits * Merged::row;
    const float *sinks = Sinks ? static_cast<const float *>(args.operands[5]) + head : nullptr;
    const int64_t at = work.token * Operands::yStride + int64_t(head) * Shape::valueLength;
    Merged::template run<BfloatY, Block::threads>(partials, sinks, work.rowCount, work.splits, shared,
                                                  args.operands[3], at);
  }
};

} // namespace kt
