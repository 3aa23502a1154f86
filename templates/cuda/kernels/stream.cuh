// Products of few tokens with many weights: every warp streams its own share of k through a ring in shared
// memory and multiplies it by tensor cores.
//
// Weights are the A operand (16 rows), tokens the n = 8 operand, and k is permuted freely: a lane takes whole
// groups of 16 weights, in four products of 4 each. Bytes arrive as they lie in the file (cp.async of 16-byte
// pieces, from the boundary before a row's bytes on), several units ahead; nothing but the warp itself waits.
#pragma once

#include "layout.cuh"
#include "mma.cuh"
#include "quant.cuh"

namespace kt {

// Rows of K weights of format Type, in Tiles tiles of 16 rows, times up to TokenTiles * 8 tokens of XBytes per
// element; XAlign divides the addresses of all token rows, in bytes.
template <int Type, int K, int Tiles, int TokenTiles, int Tokens, int XBytes, int XAlign, int Stages>
struct Stream {
  using W = Weights<Type>;
  static constexpr int units = (K + W::unitElements - 1) / W::unitElements;
  static constexpr int64_t rowBytes = W::rowBytes(K);
  static constexpr bool rowsAligned = rowBytes % 16 == 0 && W::unitBytes % 16 == 0;
  static constexpr int slotBytes = streamSlotBytes(W::unitBytes, rowsAligned);
  static constexpr int tokenBytes = streamTokenBytes(W::unitElements, XBytes);
  static constexpr int stageBytes = streamStageBytes(Tiles, slotBytes, Tokens, tokenBytes);
  static constexpr int warpBytes = Stages * stageBytes;
  static constexpr int quarterBytes = W::unitElements / 4 * XBytes;

  // Place of byte `offset` of a token's unit.
  static __device__ int tokenOffset(int offset) { return offset + offset / quarterBytes * 16; }

  // Starts the copies of unit `unit`. rowAt(tile, row) and tokenAt(token) give the start of rows.
  template <class RowAt, class TokenAt>
  static __device__ void fetch(uint8_t *stage, int unit, int lane, int tokens, RowAt rowAt, TokenAt tokenAt) {
    constexpr int pieces = slotBytes / 16;
    const int64_t offset = int64_t(unit) * W::unitBytes;
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile)
#pragma unroll 4
      for (int i = lane; i < 16 * pieces; i += 32) {
        const int row = i / pieces, piece = i % pieces;
        const uint8_t *begin = rowAt(tile, row), *end = begin + rowBytes;
        const uint8_t *from = begin + offset;
        const uint8_t *last = from + W::unitBytes < end ? from + W::unitBytes : end;
        if constexpr (!rowsAligned)
          from -= reinterpret_cast<uint64_t>(from) & 15;
        from += piece * 16;
        if (from < last) // never past the row, whose end may be the end of the file
          copyAsyncPart(stage + tile * 16 * slotBytes + i * 16, from,
                        end - from < 16 ? static_cast<int>(end - from) : 16);
      }
    uint8_t *rows = stage + Tiles * 16 * slotBytes;
    const int first = unit * W::unitElements * XBytes;
    for (int t = 0; t < tokens; ++t) {
      const uint8_t *x = tokenAt(t);
      for (int at = lane * XAlign; at < W::unitElements * XBytes; at += 32 * XAlign) {
        uint8_t *to = rows + t * tokenBytes + tokenOffset(at);
        if (K % W::unitElements == 0 || first + at < K * XBytes)
          copyAsync<XAlign>(to, x + first + at);
        else
          zero(to);
      }
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

  template <class RowAt>
  static __device__ void multiply(const uint8_t *stage, int unit, int lane, int tokens, RowAt rowAt,
                                  float (&sums)[Tiles][TokenTiles][4]) {
    const int g = lane / 4, c = lane % 4;
    const uint8_t *x = stage + Tiles * 16 * slotBytes;
    const int64_t offset = int64_t(unit) * W::unitBytes;
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
          const int row = g + side * 8;
          const uint8_t *slot = stage + (tile * 16 + row) * slotBytes;
          if constexpr (!rowsAligned)
            slot += reinterpret_cast<uint64_t>(rowAt(tile, row) + offset) & 15;
          decodeGroup<Type>(slot, group, valid, a[side]);
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

  // Adds units first, first + step, … to `sums`. `ring` is warpBytes of this warp alone, 16-byte aligned.
  template <class RowAt, class TokenAt>
  static __device__ void run(uint8_t *ring, int first, int step, int tokens, RowAt rowAt, TokenAt tokenAt,
                             float (&sums)[Tiles][TokenTiles][4]) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int s = 0; s < Stages - 1; ++s) {
      if (first + s * step < units)
        fetch(ring + s * stageBytes, first + s * step, lane, tokens, rowAt, tokenAt);
      commitCopies();
    }
    int stage = 0, next = Stages - 1;
    for (int unit = first; unit < units; unit += step) {
      waitForCopies<Stages - 2>();
      __syncwarp(); // everyone's copies of this stage are there, and nobody reads the one before any more
      if (unit + (Stages - 1) * step < units)
        fetch(ring + next * stageBytes, unit + (Stages - 1) * step, lane, tokens, rowAt, tokenAt);
      commitCopies();
      multiply(ring + stage * stageBytes, unit, lane, tokens, rowAt, sums);
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
