// Products of few tokens with many weights: every warp streams its own share of k through a ring in shared
// memory and multiplies it by tensor cores.
//
// Weights are the A operand (16 rows), tokens the n = 8 operand, and k is permuted freely: a lane takes whole
// groups of 16 weights, in four products of 4 each. Bytes arrive as they lie in the file (cp.async of 16-byte
// pieces, from the boundary before a row's bytes on), several units ahead; nothing but the warp itself waits.
#pragma once

#include "layout.cuh"
#include "mma.cuh"
#include "quant_quads.cuh"

namespace kt {

// True if the rows of tokens that TokenAt gives are in shared memory (TokenAt::isShared).
template <class TokenAt> __host__ __device__ constexpr auto isShared(int) -> decltype(TokenAt::isShared, true) {
  return true;
}
template <class TokenAt> __host__ __device__ constexpr bool isShared(long) { return false; }

// Rows of K weights of format Type, in Tiles tiles of 16 rows, times up to TokenTiles * 8 tokens of XBytes per
// element; XAlign divides the addresses of all token rows, in bytes. A warp takes every Step-th unit of k. With
// Early the copies of its first weights are started by prefetch(), before run() with the same parameters.
template <int Type, int K, int Tiles, int TokenTiles, int Tokens, int XBytes, int XAlign, int Stages, int Step,
          bool Early>
struct Stream {
  using W = Weights<Type>;
  static constexpr int units = (K + W::unitElements - 1) / W::unitElements;
  static constexpr int64_t rowBytes = W::rowBytes(K);
  static constexpr bool rowsAligned = rowBytes % 16 == 0 && W::unitBytes % 16 == 0;
  static constexpr int slotBytes = streamSlotBytes(W::unitBytes, rowsAligned);
  static constexpr int tokenBytes = streamTokenBytes(W::unitElements, XBytes);
  static constexpr int stageBytes = streamStageBytes(Tiles, slotBytes, Tokens, tokenBytes);
  // Formats of small integers: their sums are scaled, not the weights.
  using Q = Quads<Type>;
  static constexpr int scales = W::unitElements / 16 / Q::groupsPerScale, scalePitch = scales + 1;
  static constexpr int scaleBytes = Q::exists ? streamScaleBytes(Tiles, scales) : 0;
  static constexpr int quarterBytes = W::unitElements / 4 * XBytes;

  // What is under way at a time: all units of a warp, or all but the one in use.
  static constexpr int perWarp = (units + Step - 1) / Step;
  static constexpr bool isWhole = perWarp <= Stages;
  static constexpr int ahead = isWhole ? perWarp : Stages - 1;
  // The scales of all units are prepared while the tokens are on their way.
  static constexpr bool preparesAll = Q::exists && isWhole && Early;
  static constexpr int warpBytes = Stages * stageBytes + (preparesAll ? perWarp : 1) * scaleBytes;
  static_assert(ahead >= 1, "a ring needs two stages");

  // Place of byte `offset` of a token's unit.
  static __device__ int tokenOffset(int offset) { return offset + offset / quarterBytes * 16; }

  // Starts the copies of unit `unit` of the weights. rowAt(tile, row) gives the start of rows.
  template <class RowAt> static __device__ void fetchRows(uint8_t *stage, int unit, int lane, RowAt rowAt) {
    constexpr int pieces = (W::unitBytes + (rowsAligned ? 0 : 15) + 15) / 16;
    // Whole pieces of a row that are all there need no checks.
    constexpr bool isPlain = rowsAligned && K % W::unitElements == 0;
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile)
#pragma unroll
      for (int first = 0; first < 16 * pieces; first += 32) {
        const int row = (first + lane) / pieces, piece = (first + lane) % pieces;
        if (16 * pieces % 32 != 0 && first + 32 > 16 * pieces && row >= 16)
          continue;
        const uint8_t *begin = rowAt(tile, row);
        const uint8_t *from = begin + unit * W::unitBytes;
        uint8_t *to = stage + (tile * 16 + row) * slotBytes + piece * 16;
        if constexpr (isPlain) {
          copyAsync16(to, from + piece * 16);
        } else {
          // A piece that has a byte of the row is read whole: what else is in it lies in the same page.
          const uint8_t *end = begin + rowBytes, *last = from + W::unitBytes < end ? from + W::unitBytes : end;
          if constexpr (!rowsAligned)
            from -= reinterpret_cast<uint64_t>(from) & 15;
          from += piece * 16;
          if (from < last)
            copyAsync16(to, from);
        }
      }
  }

  // The same of the tokens; tokenAt(token) gives the start of their rows, in shared memory if
  // TokenAt::isShared.
  template <class TokenAt>
  static __device__ void fetchTokens(uint8_t *stage, int unit, int lane, int tokens, TokenAt tokenAt) {
    uint8_t *rows = stage + Tiles * 16 * slotBytes;
    const int first = unit * W::unitElements * XBytes;
    for (int t = 0; t < tokens; ++t) {
      const uint8_t *x = tokenAt(t);
      for (int at = lane * XAlign; at < W::unitElements * XBytes; at += 32 * XAlign) {
        uint8_t *to = rows + t * tokenBytes + tokenOffset(at);
        if (K % W::unitElements == 0 || first + at < K * XBytes)
          copyToken<isShared<TokenAt>(0)>(to, x + first + at);
        else
          zero(to);
      }
    }
  }
  template <bool FromShared> static __device__ void copyToken(uint8_t *to, const uint8_t *from) {
    if constexpr (FromShared) {
      static_assert(XAlign == 16, "rows in shared memory are aligned");
      *reinterpret_cast<uint4 *>(to) = *reinterpret_cast<const uint4 *>(from);
    } else {
      copyAsync<XAlign>(to, from);
    }
  }
  static __device__ void zero(uint8_t *to) {
#pragma unroll
    for (int i = 0; i < XAlign; i += 2)
      *reinterpret_cast<unsigned short *>(to + i) = 0;
  }

  // Four elements at `x` as two pairs.
  static __device__ void readPairs(const uint8_t *x, uint32_t &b0, uint32_t &b1) {
    if constexpr (XBytes == 4) {
      const float4 four = *reinterpret_cast<const float4 *>(x);
      b0 = pack<Bfloat>(four.x, four.y), b1 = pack<Bfloat>(four.z, four.w);
    } else {
      const uint2 two = *reinterpret_cast<const uint2 *>(x);
      b0 = two.x, b1 = two.y;
    }
  }

  // Where the bytes of row `row` of a tile are in a stage.
  template <class RowAt>
  static __device__ const uint8_t *slotOf(const uint8_t *stage, int tile, int row, int unit, RowAt rowAt) {
    const uint8_t *slot = stage + (tile * 16 + row) * slotBytes;
    if constexpr (!rowsAligned)
      slot += (static_cast<uint32_t>(reinterpret_cast<uint64_t>(rowAt(tile, row))) + unit * W::unitBytes) & 15;
    return slot;
  }

  // The scales of all rows of a stage: weight = x * (128 + q) + y for the stored q.
  template <class RowAt>
  static __device__ void prepareScales(float2 *prepared, const uint8_t *stage, int unit, int lane,
                                       RowAt rowAt) {
#pragma unroll
    for (int i = lane; i < Tiles * 16 * scales; i += 32) {
      const int row = i / scales, group = i % scales * Q::groupsPerScale;
      const Group read = W::readGroup(slotOf(stage, row / 16, row % 16, unit, rowAt), group);
      float2 pair = {read.scale, fmaf(read.scale, -128.0f - W::bias, read.minimum)};
      if (K % W::unitElements != 0 && unit * W::unitElements + group * 16 >= K)
        pair = {0.0f, 0.0f};
      prepared[row * scalePitch + i % scales] = pair;
    }
  }

  // Products of small integers: lane c has elements 4c … 4c + 3 of every group, all lanes the same scale. The
  // sum of x, which the minimum is multiplied with, is a product with ones.
  template <class RowAt>
  static __device__ void multiplyQuads(const uint8_t *stage, const float2 *prepared, int unit, int lane,
                                       int tokens, RowAt rowAt, float (&sums)[Tiles][TokenTiles][4]) {
    const int g = lane / 4, c = lane % 4;
    const uint8_t *x = stage + Tiles * 16 * slotBytes;
    const uint8_t *slots[Tiles][2];
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile)
      slots[tile][0] = slotOf(stage, tile, g, unit, rowAt),
      slots[tile][1] = slotOf(stage, tile, g + 8, unit, rowAt);
    constexpr uint32_t ones[4] = {0x3f803f80u, 0x3f803f80u, 0x3f803f80u, 0x3f803f80u};
#pragma unroll
    for (int s = 0; s < scales; ++s) {
      uint32_t b[Q::groupsPerScale][TokenTiles][2];
      float totals[TokenTiles][4] = {};
#pragma unroll
      for (int i = 0; i < Q::groupsPerScale; ++i)
#pragma unroll
        for (int n = 0; n < TokenTiles; ++n) {
          const int token = g + n * 8 < tokens ? g + n * 8 : tokens - 1;
          const int element = (s * Q::groupsPerScale + i) * 16;
          readSplit(x + token * tokenBytes + tokenOffset(element * XBytes) + c * 4 * XBytes, b[i][n][0],
                    b[i][n][1]);
          kt::multiply<Bfloat>(totals[n], ones, b[i][n][0], b[i][n][1]);
        }
#pragma unroll
      for (int tile = 0; tile < Tiles; ++tile) {
        float products[TokenTiles][4] = {};
#pragma unroll
        for (int i = 0; i < Q::groupsPerScale; ++i) {
          const int group = s * Q::groupsPerScale + i, place = group / W::groupsPerBlock * W::blockBytes;
          const uint32_t low = Q::read(slots[tile][0] + place, group % W::groupsPerBlock, c);
          const uint32_t high = Q::read(slots[tile][1] + place, group % W::groupsPerBlock, c);
          // 0x4300 | q is 128 + q as bfloat16.
          const uint32_t a[4] = {(low & 0x00ff00ff) | 0x43004300, (high & 0x00ff00ff) | 0x43004300,
                                 (low >> 8 & 0x00ff00ff) | 0x43004300, (high >> 8 & 0x00ff00ff) | 0x43004300};
#pragma unroll
          for (int n = 0; n < TokenTiles; ++n)
            kt::multiply<Bfloat>(products[n], a, b[i][n][0], b[i][n][1]);
        }
        const float2 first = prepared[(tile * 16 + g) * scalePitch + s];
        const float2 second = prepared[(tile * 16 + g + 8) * scalePitch + s];
#pragma unroll
        for (int n = 0; n < TokenTiles; ++n)
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            const float2 scale = e < 2 ? first : second;
            sums[tile][n][e] = fmaf(scale.x, products[n][e], fmaf(scale.y, totals[n][e], sums[tile][n][e]));
          }
      }
    }
  }

  // Four elements at `x` as pairs (0, 2) and (1, 3), as the bytes of a word are split.
  static __device__ void readSplit(const uint8_t *x, uint32_t &b0, uint32_t &b1) {
    if constexpr (XBytes == 4) {
      const float4 four = *reinterpret_cast<const float4 *>(x);
      b0 = pack<Bfloat>(four.x, four.z), b1 = pack<Bfloat>(four.y, four.w);
    } else {
      const uint2 two = *reinterpret_cast<const uint2 *>(x);
      b0 = __byte_perm(two.x, two.y, 0x5410), b1 = __byte_perm(two.x, two.y, 0x7632);
    }
  }

  template <class RowAt>
  static __device__ void multiply(const uint8_t *stage, int unit, int lane, int tokens, RowAt rowAt,
                                  float (&sums)[Tiles][TokenTiles][4]) {
    const int g = lane / 4, c = lane % 4;
    const uint8_t *x = stage + Tiles * 16 * slotBytes;
#pragma unroll
    for (int i = 0; i < W::groupsPerLane; ++i) {
      const int group = W::laneGroup(c, i);
      const int valid = K % W::unitElements == 0 ? 16 : K - unit * W::unitElements - group * 16;
      uint32_t b[TokenTiles][8];
#pragma unroll
      for (int n = 0; n < TokenTiles; ++n) {
        const int token = g + n * 8 < tokens ? g + n * 8 : tokens - 1;
        const uint8_t *from = x + token * tokenBytes + tokenOffset(group * 16 * XBytes);
#pragma unroll
        for (int s = 0; s < 4; ++s)
          readPairs(from + s * 4 * XBytes, b[n][2 * s], b[n][2 * s + 1]);
      }
#pragma unroll
      for (int tile = 0; tile < Tiles; ++tile) {
        uint32_t a[2][8];
#pragma unroll
        for (int side = 0; side < 2; ++side) {
          decodeGroup<Type>(slotOf(stage, tile, g + side * 8, unit, rowAt), group, valid, a[side]);
        }
#pragma unroll
        for (int n = 0; n < TokenTiles; ++n)
          if (n == 0 || tokens > 8)
#pragma unroll
            for (int s = 0; s < 4; ++s) {
              const uint32_t weights[4] = {a[0][2 * s], a[1][2 * s], a[0][2 * s + 1], a[1][2 * s + 1]};
              kt::multiply<Bfloat>(sums[tile][n], weights, b[n][2 * s], b[n][2 * s + 1]);
            }
      }
    }
  }

  // Starts the copies of the first weights that run() will use.
  template <class RowAt> static __device__ void prefetch(uint8_t *ring, int first, RowAt rowAt) {
    static_assert(Early, "run() starts the copies of all weights");
#pragma unroll
    for (int s = 0; s < ahead; ++s)
      if (first + s * Step < units)
        fetchRows(ring + s * stageBytes, first + s * Step, threadIdx.x % 32, rowAt);
    commitCopies();
  }

  // Where the scales of the unit in stage `stage` are.
  static __device__ float2 *preparedOf(uint8_t *ring, int stage) {
    return reinterpret_cast<float2 *>(ring + Stages * stageBytes + (preparesAll ? stage : 0) * scaleBytes);
  }

  // Adds units first, first + Step, … to `sums`. `ring` is warpBytes of this warp alone, 16-byte aligned.
  template <class RowAt, class TokenAt>
  static __device__ void run(uint8_t *ring, int first, int tokens, RowAt rowAt, TokenAt tokenAt,
                             float (&sums)[Tiles][TokenTiles][4]) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int s = 0; s < ahead; ++s) {
      const int unit = first + s * Step;
      if (unit < units) {
        if constexpr (!Early)
          fetchRows(ring + s * stageBytes, unit, lane, rowAt);
        fetchTokens(ring + s * stageBytes, unit, lane, tokens, tokenAt);
      }
      commitCopies();
    }
    if constexpr (preparesAll) {
      waitForCopies<ahead>(); // for the weights, not for the tokens
      __syncwarp();
#pragma unroll
      for (int s = 0; s < ahead; ++s)
        if (first + s * Step < units)
          prepareScales(preparedOf(ring, s), ring + s * stageBytes, first + s * Step, lane, rowAt);
    }
    int stage = 0, next = ahead % Stages;
    for (int unit = first; unit < units; unit += Step) {
      waitForCopies<ahead - 1>();
      __syncwarp(); // everyone's copies of this stage are there, and nobody reads the one before any more
      if (const int later = unit + ahead * Step; !isWhole && later < units) {
        fetchRows(ring + next * stageBytes, later, lane, rowAt);
        fetchTokens(ring + next * stageBytes, later, lane, tokens, tokenAt);
      }
      commitCopies();
      if constexpr (Q::exists) {
        float2 *prepared = preparedOf(ring, stage);
        if constexpr (!preparesAll) {
          prepareScales(prepared, ring + stage * stageBytes, unit, lane, rowAt);
          __syncwarp();
        }
        multiplyQuads(ring + stage * stageBytes, prepared, unit, lane, tokens, rowAt, sums);
      } else {
        multiply(ring + stage * stageBytes, unit, lane, tokens, rowAt, sums);
      }
      stage = stage + 1 == Stages ? 0 : stage + 1;
      next = next + 1 == Stages ? 0 : next + 1;
    }
    __syncwarp(); // the ring may be filled again
  }

  // Parks the sums of this warp (number `warp`) where sumAt() finds them.
  static __device__ void park(float *parked, int warp, const float (&sums)[Tiles][TokenTiles][4]) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile)
#pragma unroll
      for (int n = 0; n < TokenTiles; ++n)
        reinterpret_cast<float4 *>(parked)[((warp * Tiles + tile) * TokenTiles + n) * 32 + lane] =
            make_float4(sums[tile][n][0], sums[tile][n][1], sums[tile][n][2], sums[tile][n][3]);
  }
  // The sum of `warps` warps from `warp` on for a row and token, in order.
  static __device__ float sumAt(const float *parked, int warp, int warps, int tile, int row, int token) {
    const int place = (row % 8 * 4 + token % 8 / 2) * 4 + row / 8 * 2 + token % 2;
    float sum = 0;
    for (int w = warp; w < warp + warps; ++w)
      sum += parked[((w * Tiles + tile) * TokenTiles + token / 8) * 128 + place];
    return sum;
  }
};

} // namespace kt
