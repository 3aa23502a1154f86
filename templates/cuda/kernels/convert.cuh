// Reads of words that are not aligned.
//
// Weights lie as in their GGUF file: blocks of 17, 18, 34 or 210 bytes, so that words of a block are rarely
// aligned.
#pragma once

#include "mma.cuh"

namespace kt {

// N little-endian words from `p`, which is a multiple of Align bytes. Touches no aligned word outside of them.
template <int Align, int N> __device__ inline void readWords(const uint8_t *p, uint32_t (&words)[N]) {
  if constexpr (Align >= 16 && N % 4 == 0) {
#pragma unroll
    for (int i = 0; i < N / 4; ++i) {
      const uint4 four = reinterpret_cast<const uint4 *>(p)[i];
      words[4 * i] = four.x, words[4 * i + 1] = four.y, words[4 * i + 2] = four.z, words[4 * i + 3] = four.w;
    }
  } else if constexpr (Align >= 8 && N % 2 == 0) {
#pragma unroll
    for (int i = 0; i < N / 2; ++i) {
      const uint2 two = reinterpret_cast<const uint2 *>(p)[i];
      words[2 * i] = two.x, words[2 * i + 1] = two.y;
    }
  } else if constexpr (Align >= 4) {
#pragma unroll
    for (int i = 0; i < N; ++i)
      words[i] = reinterpret_cast<const uint32_t *>(p)[i];
  } else {
    const uint32_t skipped = static_cast<uint32_t>(reinterpret_cast<uint64_t>(p)) & 3;
    const uint32_t *aligned = reinterpret_cast<const uint32_t *>(p - skipped);
    uint32_t previous = aligned[0];
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const uint32_t next = aligned[i + 1 < N || skipped ? i + 1 : i];
      words[i] = __funnelshift_r(previous, next, skipped * 8);
      previous = next;
    }
  }
}

// A 16-bit word at an address that is a multiple of Align bytes.
template <int Align> __device__ inline uint32_t readHalf(const uint8_t *p) {
  if constexpr (Align >= 2)
    return *reinterpret_cast<const unsigned short *>(p);
  else
    return p[0] | uint32_t(p[1]) << 8;
}

} // namespace kt
