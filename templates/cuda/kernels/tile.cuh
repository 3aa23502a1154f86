// Products of many tokens with many weights: tiles of 128 rows by 64 or 128 tokens, 32 elements of k at a time.
//
// Weights are decoded once per tile into shared memory as bfloat16, beside the tokens; two buffers, so that the
// next 32 elements are read and decoded while tensor cores work on these.
#pragma once

#include "layout.cuh"
#include "mma.cuh"
#include "quant.cuh"

namespace kt {

// 256 threads. Warp (i, j) of 4 x 2 has rows 32 i … and tokens j * Tokens / 2 ….
template <int K, int Tokens, bool XBfloat, int XAlign> struct Tile {
  static constexpr int threads = 256, steps = (K + tileDepth - 1) / tileDepth, columns = Tokens / 16;
  static constexpr int xBytes = XBfloat ? 2 : 4;
  using Sums = float[2][columns][4];

  // Half of the 32 elements of a row as pairs in registers.
  template <int Type>
  static __device__ void readWeights(const uint8_t *row, int step, int half, uint32_t (&pairs)[8]) {
    const int element = step * tileDepth + half * 16;
    if (K % 16 == 0 ? element < K : true)
      decodeGroup<Type>(row, element / 16, K - element, pairs);
    else
      clear(pairs);
  }
  static __device__ void clear(uint32_t (&pairs)[8]) {
#pragma unroll
    for (int i = 0; i < 8; ++i)
      pairs[i] = 0;
  }
  static __device__ uint32_t element(const uint8_t *x, int i) {
    if constexpr (XBfloat)
      return reinterpret_cast<const unsigned short *>(x)[i];
    else
      return floatToBfloat(reinterpret_cast<const float *>(x)[i]);
  }
  // 16 elements of a token as pairs.
  static __device__ void readTokens(const uint8_t *x, int step, int half, uint32_t (&pairs)[8]) {
    const int first = step * tileDepth + half * 16;
    x += int64_t(first) * xBytes;
    if (XAlign >= 16 && (K % 16 == 0 ? first < K : first + 16 <= K)) {
      if constexpr (XBfloat) {
        readWords<16>(x, pairs);
      } else {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const float4 four = reinterpret_cast<const float4 *>(x)[i];
          pairs[2 * i] = pack<Bfloat>(four.x, four.y), pairs[2 * i + 1] = pack<Bfloat>(four.z, four.w);
        }
      }
    } else {
#pragma unroll
      for (int i = 0; i < 8; ++i)
        pairs[i] = (first + 2 * i < K ? element(x, 2 * i) : 0) |
                   (first + 2 * i + 1 < K ? element(x, 2 * i + 1) << 16 : 0);
    }
  }
  static __device__ void put(unsigned short *row, int half, const uint32_t (&pairs)[8]) {
    uint4 *to = reinterpret_cast<uint4 *>(row + half * 16);
    to[0] = make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
    to[1] = make_uint4(pairs[4], pairs[5], pairs[6], pairs[7]);
  }

  // One step of products: `a` and `b` are the warp's first rows of weights and tokens in shared memory.
  static __device__ void multiply(const unsigned short *a, const unsigned short *b, Sums &sums) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int k = 0; k < tileDepth; k += 16) {
      uint32_t weights[2][4];
#pragma unroll
      for (int i = 0; i < 2; ++i)
        loadMatrices(weights[i], a + (i * 16 + lane % 16) * tilePitch + k + lane / 16 * 8);
#pragma unroll
      for (int j = 0; j < columns; j += 2) {
        uint32_t tokens[4]; // tokens 0-7: k 0-7, 8-15; tokens 8-15: the same
        loadMatrices(tokens, b + (j * 8 + lane / 16 * 8 + lane % 8) * tilePitch + k + lane / 8 % 2 * 8);
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          kt::multiply<Bfloat>(sums[i][j], weights[i], tokens[0], tokens[1]);
          kt::multiply<Bfloat>(sums[i][j + 1], weights[i], tokens[2], tokens[3]);
        }
      }
    }
  }

  // sums = rows · tokens. rowAt(0..127) and tokenAt(0..Tokens-1) give the start of rows, which all exist.
  // `shared` is tileBytes(Tokens), 16-byte aligned; nobody may still read it, and all threads come here.
  template <int Type, class RowAt, class TokenAt>
  static __device__ void run(uint8_t *shared, RowAt rowAt, TokenAt tokenAt, Sums &sums) {
    unsigned short *buffers = reinterpret_cast<unsigned short *>(shared);
    constexpr int bufferElements = (tileRows + Tokens) * tilePitch;
    const int line = threadIdx.x / 2, half = threadIdx.x % 2, warp = threadIdx.x / 32;
    const uint8_t *row = rowAt(line);
    const bool hasToken = line < Tokens;
    const uint8_t *token = tokenAt(hasToken ? line : 0);
    uint32_t weights[8], tokens[8];
    auto read = [&](int step) {
      readWeights<Type>(row, step, half, weights);
      if (hasToken)
        readTokens(token, step, half, tokens);
    };
    auto write = [&](int buffer) {
      unsigned short *to = buffers + buffer * bufferElements;
      put(to + line * tilePitch, half, weights);
      if (hasToken)
        put(to + (tileRows + line) * tilePitch, half, tokens);
    };
    read(0);
    write(0);
    __syncthreads();
    for (int step = 0; step < steps; ++step) {
      if (step + 1 < steps)
        read(step + 1);
      const unsigned short *now = buffers + step % 2 * bufferElements;
      multiply(now + warp / 2 * 32 * tilePitch, now + (tileRows + warp % 2 * (Tokens / 2)) * tilePitch, sums);
      if (step + 1 < steps)
        write((step + 1) % 2); // its last readers passed the barrier of the step before
      __syncthreads();
    }
  }

  // Calls body(row, token, value) for the results of this thread.
  template <class Body> static __device__ void forEach(const Sums &sums, Body body) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int j = 0; j < columns; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          body(warp / 2 * 32 + i * 16 + lane / 4 + e / 2 * 8,
               warp % 2 * (Tokens / 2) + j * 8 + lane % 4 * 2 + e % 2, sums[i][j][e], i, j, e);
  }
};

} // namespace kt
