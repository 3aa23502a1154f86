// The inner part of attention: rows of queries against tiles of keys and values in shared memory, by tensor
// cores with an online softmax.
//
// A block has RowWarps x ColumnWarps warps. For the scores, the warps of a row share out the keys of a tile;
// for the sums, the columns of the values. Scores and softmax are float32; queries, keys, softmax weights and
// values are 16-bit floats in the products: float16 for caches of that type, else bfloat16.
#pragma once

#include "cache_row.cuh"

namespace kt {

__device__ inline float minusInfinity() { return __uint_as_float(0xff800000u); }
constexpr float log2OfE = 1.4426950408889634f, lnOf2 = 0.6931471805599453f;

template <CacheType Type> struct ProductOf {
  using T = Bfloat;
};
template <> struct ProductOf<CacheType::Half> {
  using T = Half;
};

// Rows of queries, warps, keys of a tile, tiles in shared memory.
template <int Rows, int RowWarps, int ColumnWarps, int Keys, int Stages> struct AttentionBlock {
  static constexpr int rows = Rows, rowWarps = RowWarps, columnWarps = ColumnWarps, keys = Keys,
                       stages = Stages;
  static constexpr int threads = RowWarps * ColumnWarps * 32, rowTiles = Rows / RowWarps / 16;
};

__host__ __device__ constexpr int roundUp(int value, int step) { return (value + step - 1) / step * step; }

// True if a warp with 16 rows would multiply only 8 keys of a tile: then two have 16 together, with half of
// their elements each, because queries would be read too often otherwise.
__host__ __device__ constexpr bool keySharing(int rows, int rowWarps, int columnWarps, int keys, int keyPad) {
  return rows == 16 * rowWarps && columnWarps % 2 == 0 && keys == 8 * columnWarps && keyPad % 64 == 0;
}

// Shapes of the tiles, in 16-bit elements. Rows are an odd number of 16 bytes apart, so that eight of them lie
// in different banks. With Joined, values are the first elements of the keys.
template <CacheType Type_, int KeyLength, int ValueLength, bool Joined, class Block> struct AttentionShape {
  static constexpr CacheType type = Type_;
  static constexpr int keyLength = KeyLength, valueLength = ValueLength;
  static constexpr bool joined = Joined;
  static constexpr int valuePad = roundUp(ValueLength, 16 * Block::columnWarps);
  static constexpr int keyPad = roundUp(Joined && valuePad > KeyLength ? valuePad : KeyLength, 32);
  static constexpr int keyStride = keyPad + 8, valueStride = Joined ? keyStride : valuePad + 8;
  static constexpr int weightStride = Block::keys + 8;
  static constexpr int keyTile = Block::keys * keyStride, valueTile = Joined ? 0 : Block::keys * valueStride;
  // Places in shared memory.
  static constexpr int queries = 0, tiles = Block::rows * keyStride, tile = keyTile + valueTile;
  static constexpr int weights = tiles + Block::stages * tile,
                       reductions = weights + Block::rows * weightStride;
  // One float per row and column of warps follows, and where two warps share the elements of keys, sums of
  // each.
  static constexpr bool sharesKeys =
      keySharing(Block::rows, Block::rowWarps, Block::columnWarps, Block::keys, keyPad);
  static constexpr int exchange = 2 * reductions + 4 * Block::columnWarps * Block::rows;
  static constexpr int bytes = exchange + (sharesKeys ? Block::threads * 16 : 0);
};

// Eight cache elements from element `index` as 16-bit floats for the products.
template <CacheType Type> __device__ inline uint4 convertCache(const uint8_t *cache, int64_t index) {
  if constexpr (Type == CacheType::Float) {
    const float4 low = reinterpret_cast<const float4 *>(cache + index * 4)[0];
    const float4 high = reinterpret_cast<const float4 *>(cache + index * 4)[1];
    return {pack<Bfloat>(low.x, low.y), pack<Bfloat>(low.z, low.w), pack<Bfloat>(high.x, high.y),
            pack<Bfloat>(high.z, high.w)};
  } else {
    const uint16_t *block = reinterpret_cast<const uint16_t *>(cache + index / 32 * 34);
    const float d = halfToFloat(block[0]);
    uint32_t words[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint32_t pair = block[1 + index % 32 / 2 + i];
      words[i] = pack<Bfloat>(d * float(int8_t(pair & 255)), d * float(int8_t(pair >> 8)));
    }
    return {words[0], words[1], words[2], words[3]};
  }
}

// `Length` elements of each of the positions start..start + Keys into a tile; those from `end` on become zeros.
// Row p of the cache begins at element p * rowStride + offset.
template <CacheType Type, int Length, int Stride, class Block>
__device__ inline void loadTile(uint16_t *tile, const uint8_t *cache, int64_t rowStride, int64_t offset,
                                int start, int end) {
  constexpr int chunks = Length / 8;
  const auto load = [&](int row, int column) {
    const bool valid = start + row < end;
    const int64_t index = (valid ? start + row : start) * rowStride + offset + column;
    uint16_t *to = tile + row * Stride + column;
    if constexpr (Type == CacheType::Half || Type == CacheType::Bfloat)
      copyAsync16(to, cache + index * 2, valid);
    else
      *reinterpret_cast<uint4 *>(to) = valid ? convertCache<Type>(cache, index) : uint4{0, 0, 0, 0};
  };
  if constexpr (chunks > 32) {
    // A warp per row, which needs less arithmetic than finding the row of each chunk.
#pragma unroll 4
    for (int row = threadIdx.x / 32; row < Block::keys; row += Block::threads / 32)
#pragma unroll
      for (int chunk = threadIdx.x % 32; chunk < chunks; chunk += 32)
        load(row, chunk * 8);
  } else {
    for (int i = threadIdx.x; i < Block::keys * chunks; i += Block::threads)
      load(i / chunks, i % chunks * 8);
  }
}

// What a thread knows of its rows: 16 t + lane / 4 and the same + 8 of its warp for each of the row tiles t.
template <class Shape, class Block> struct AttentionState {
  static constexpr int rows = 2 * Block::rowTiles;
  static constexpr int valueTiles = Shape::valuePad / Block::columnWarps / 8;
  static constexpr int keyTiles = Block::keys / Block::columnWarps / 8;
  float sums[Block::rowTiles][valueTiles][4]; // Σ p v
  float largest[rows], total[rows];           // of scores in powers of two; Σ p of the thread's columns
  int first[rows], last[rows];                // positions that the row sees
};

template <class Shape, class Block> struct AttentionTiles {
  using State = AttentionState<Shape, Block>;
  using T = typename ProductOf<Shape::type>::T;
  static constexpr int rowTiles = Block::rowTiles, keyTiles = State::keyTiles, valueTiles = State::valueTiles;
  using Scores = float[rowTiles][keyTiles][4];

  static __device__ int warpRow() { return threadIdx.x / 32 / Block::columnWarps * (16 * rowTiles); }
  static __device__ int warpColumn() { return threadIdx.x / 32 % Block::columnWarps; }
  // Row `r` of the state in the block.
  static __device__ int blockRow(int r) { return warpRow() + r / 2 * 16 + r % 2 * 8 + threadIdx.x % 32 / 4; }
  static __device__ float *reductions(uint16_t *shared) {
    return reinterpret_cast<float *>(shared + Shape::reductions);
  }
  // A barrier of the warps that share rows.
  static __device__ void syncRow() { Block::columnWarps == 1 ? __syncwarp() : __syncthreads(); }

  static __device__ void clear(State &state) {
#pragma unroll
    for (int t = 0; t < rowTiles; ++t)
#pragma unroll
      for (int v = 0; v < valueTiles; ++v)
#pragma unroll
        for (int i = 0; i < 4; ++i)
          state.sums[t][v][i] = 0;
#pragma unroll
    for (int r = 0; r < State::rows; ++r) {
      state.largest[r] = minusInfinity();
      state.total[r] = 0;
    }
  }

  // Products of the rows with Tiles * 8 keys from `key` on, over the elements first..last. Products that are
  // added to the same sum follow each other: where a warp has few sums, both halves of a step have their own.
  template <int Tiles>
  static __device__ void multiplyPart(const uint16_t *queries, const uint16_t *keys, int key, int first,
                                      int last, float (&sums)[rowTiles][Tiles][4]) {
    const int lane = threadIdx.x % 32;
    const uint16_t *from = keys + (key + lane % 8) * Shape::keyStride + lane / 8 * 8;
    const uint16_t *query = queries + (warpRow() + lane % 16) * Shape::keyStride + lane / 16 * 8;
    constexpr bool isSplit = rowTiles * Tiles <= 2;
    float others[rowTiles][Tiles][4];
#pragma unroll
    for (int t = 0; t < rowTiles; ++t)
#pragma unroll
      for (int n = 0; n < Tiles; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i)
          sums[t][n][i] = others[t][n][i] = 0;
#pragma unroll 3
    for (int k = first; k < last; k += 32) {
      uint32_t a[rowTiles][2][4];
#pragma unroll
      for (int t = 0; t < rowTiles; ++t)
#pragma unroll
        for (int half = 0; half < 2; ++half)
          loadMatrices(a[t][half], query + t * 16 * Shape::keyStride + k + half * 16);
#pragma unroll
      for (int n = 0; n < Tiles; ++n) {
        uint32_t b[4];
        loadMatrices(b, from + n * 8 * Shape::keyStride + k);
#pragma unroll
        for (int t = 0; t < rowTiles; ++t) {
          multiply<T>(sums[t][n], a[t][0], b[0], b[1]);
          multiply<T>(isSplit ? others[t][n] : sums[t][n], a[t][1], b[2], b[3]);
        }
      }
    }
    if constexpr (isSplit)
#pragma unroll
      for (int t = 0; t < rowTiles; ++t)
#pragma unroll
        for (int n = 0; n < Tiles; ++n)
#pragma unroll
          for (int i = 0; i < 4; ++i)
            sums[t][n][i] += others[t][n][i];
  }

  // The scores of the warp's keys; `exchange` is shared memory of the block for those that share keys.
  static __device__ void multiplyKeys(const uint16_t *queries, const uint16_t *keys, float4 *exchange,
                                      Scores &scores) {
    if constexpr (!Shape::sharesKeys) {
      multiplyPart<keyTiles>(queries, keys, warpColumn() * (keyTiles * 8), 0, Shape::keyPad, scores);
    } else {
      constexpr int half = Shape::keyPad / 2;
      const int part = warpColumn() % 2;
      float sums[1][2][4];
      multiplyPart<2>(queries, keys, warpColumn() / 2 * 16, part * half, part * half + half, sums);
      // Each of the two keeps eight keys and gives the other what it has of theirs.
      float *keep = scores[0][0];
#pragma unroll
      for (int i = 0; i < 4; ++i)
        keep[i] = part == 0 ? sums[0][0][i] : sums[0][1][i];
      exchange[threadIdx.x] = part == 0
                                  ? make_float4(sums[0][1][0], sums[0][1][1], sums[0][1][2], sums[0][1][3])
                                  : make_float4(sums[0][0][0], sums[0][0][1], sums[0][0][2], sums[0][0][3]);
      asm volatile("bar.sync %0, 64;" ::"r"(1 + int(threadIdx.x) / 64) : "memory");
      const float4 other = exchange[threadIdx.x ^ 32];
      keep[0] += other.x, keep[1] += other.y, keep[2] += other.z, keep[3] += other.w;
    }
  }

  // Scales and masks the scores of the tile at position `start`, and finds the largest of each row in all
  // columns.
  static __device__ void maskScores(const State &state, Scores &scores, int start, float scale,
                                    float *reduction, float (&largest)[State::rows]) {
    const int lane = threadIdx.x % 32;
    const int position = start + warpColumn() * (keyTiles * 8) + lane % 4 * 2;
#pragma unroll
    for (int r = 0; r < State::rows; ++r) {
      float most = minusInfinity();
#pragma unroll
      for (int n = 0; n < keyTiles; ++n)
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const int at = position + n * 8 + i;
          float &score = scores[r / 2][n][r % 2 * 2 + i];
          score = at >= state.first[r] && at <= state.last[r] ? score * scale : minusInfinity();
          most = fmaxf(most, score);
        }
      most = fmaxf(most, __shfl_xor_sync(allLanes, most, 1));
      largest[r] = fmaxf(most, __shfl_xor_sync(allLanes, most, 2));
    }
    if constexpr (Block::columnWarps > 1) {
#pragma unroll
      for (int r = 0; r < State::rows; ++r)
        if (lane % 4 == 0)
          reduction[warpColumn() * Block::rows + blockRow(r)] = largest[r];
      __syncthreads();
#pragma unroll
      for (int r = 0; r < State::rows; ++r)
#pragma unroll
        for (int column = 0; column < Block::columnWarps; ++column)
          largest[r] = fmaxf(largest[r], reduction[column * Block::rows + blockRow(r)]);
    }
  }

  // Scores become softmax weights relative to the largest score so far, in shared memory; what was summed up
  // before is brought to that scale.
  static __device__ void weigh(State &state, const Scores &scores, const float (&tileLargest)[State::rows],
                               uint16_t *weights) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int r = 0; r < State::rows; ++r) {
      const float largest = fmaxf(state.largest[r], tileLargest[r]);
      const float base = largest == minusInfinity() ? 0.0f : largest; // nothing is visible yet
      const float factor = exp2f(state.largest[r] - base);
      state.largest[r] = largest;
      state.total[r] *= factor;
      uint16_t *row =
          weights + blockRow(r) * Shape::weightStride + warpColumn() * (keyTiles * 8) + lane % 4 * 2;
#pragma unroll
      for (int n = 0; n < keyTiles; ++n) {
        const float low = exp2f(scores[r / 2][n][r % 2 * 2] - base);
        const float high = exp2f(scores[r / 2][n][r % 2 * 2 + 1] - base);
        state.total[r] += low + high;
        *reinterpret_cast<uint32_t *>(row + n * 8) = pack<T>(low, high);
      }
#pragma unroll
      for (int v = 0; v < valueTiles; ++v) {
        state.sums[r / 2][v][r % 2 * 2] *= factor;
        state.sums[r / 2][v][r % 2 * 2 + 1] *= factor;
      }
    }
  }

  static __device__ void multiplyValues(State &state, const uint16_t *weights, const uint16_t *values) {
    const int lane = threadIdx.x % 32;
    const uint16_t *weight = weights + (warpRow() + lane % 16) * Shape::weightStride + lane / 16 * 8;
    const uint16_t *value =
        values + lane % 16 * Shape::valueStride + warpColumn() * (valueTiles * 8) + lane / 16 * 8;
#pragma unroll
    for (int k = 0; k < Block::keys; k += 16) {
      uint32_t a[rowTiles][4];
#pragma unroll
      for (int t = 0; t < rowTiles; ++t)
        loadMatrices(a[t], weight + t * 16 * Shape::weightStride + k);
#pragma unroll
      for (int v = 0; v < valueTiles; v += 2) {
        uint32_t b[4];
        loadTransposed(b, value + k * Shape::valueStride + v * 8);
#pragma unroll
        for (int t = 0; t < rowTiles; ++t) {
          multiply<T>(state.sums[t][v], a[t], b[0], b[1]);
          multiply<T>(state.sums[t][v + 1], a[t], b[2], b[3]);
        }
      }
    }
  }

  static __device__ uint16_t *stage(uint16_t *shared, int tile) {
    return shared + Shape::tiles + tile % Block::stages * Shape::tile;
  }
  static __device__ int tileCount(int begin, int end) { return (end - begin + Block::keys - 1) / Block::keys; }

  // Starts the copies of the first tiles, one group each; load(tile, position) brings one.
  template <class Load> static __device__ void start(uint16_t *shared, int begin, int end, Load load) {
    constexpr int first = Block::stages > 1 ? Block::stages - 1 : 1;
    const int count = tileCount(begin, end);
#pragma unroll
    for (int i = 0; i < first; ++i) {
      if (i < count)
        load(stage(shared, i), begin + i * Block::keys);
      commitCopies();
    }
  }

  // Brings tile i, and on its way the tile that takes the place of the one before. The barrier also ends the
  // use of that one.
  template <class Load>
  static __device__ void nextTile(uint16_t *shared, int i, int begin, int count, Load load) {
    constexpr int ahead = Block::stages - 1;
    if constexpr (ahead == 0) {
      if (i != 0) {
        __syncthreads();
        load(stage(shared, i), begin + i * Block::keys);
        commitCopies();
      }
      waitForCopies<0>();
      __syncthreads();
    } else {
      waitForCopies<ahead - 1>();
      __syncthreads();
      if (i + ahead < count)
        load(stage(shared, i + ahead), begin + (i + ahead) * Block::keys);
      commitCopies();
    }
  }

  // Attention of the block's rows over the positions begin..end after `start`. Queries are in shared memory
  // (visible after the next barrier), and state.first and state.last are set.
  template <class Load>
  static __device__ void run(State &state, uint16_t *shared, int begin, int end, float scale, Load load) {
    clear(state);
    const int count = tileCount(begin, end);
    for (int i = 0; i < count; ++i) {
      nextTile(shared, i, begin, count, load);
      const uint16_t *tile = stage(shared, i);
      Scores scores;
      float largest[State::rows];
      multiplyKeys(shared + Shape::queries, tile,
                   reinterpret_cast<float4 *>(reinterpret_cast<uint8_t *>(shared) + Shape::exchange), scores);
      maskScores(state, scores, begin + i * Block::keys, scale, reductions(shared), largest);
      weigh(state, scores, largest, shared + Shape::weights);
      syncRow();
      multiplyValues(state, shared + Shape::weights, Shape::joined ? tile : tile + Shape::keyTile);
    }
    addTotals(state, shared);
  }

  // Totals over all columns of a row.
  static __device__ void addTotals(State &state, uint16_t *shared) {
#pragma unroll
    for (int r = 0; r < State::rows; ++r) {
      state.total[r] += __shfl_xor_sync(allLanes, state.total[r], 1);
      state.total[r] += __shfl_xor_sync(allLanes, state.total[r], 2);
    }
    if constexpr (Block::columnWarps > 1) {
      float *reduction = reductions(shared);
      __syncthreads();
#pragma unroll
      for (int r = 0; r < State::rows; ++r)
        if (threadIdx.x % 4 == 0)
          reduction[warpColumn() * Block::rows + blockRow(r)] = state.total[r];
      __syncthreads();
#pragma unroll
      for (int r = 0; r < State::rows; ++r) {
        state.total[r] = 0;
#pragma unroll
        for (int column = 0; column < Block::columnWarps; ++column)
          state.total[r] += reduction[column * Block::rows + blockRow(r)];
      }
    }
  }
};

} // namespace kt
