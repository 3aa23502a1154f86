// Reading memory as fast as one thread can: the loop behind every read bandwidth that is measured.
//
// Generated kernels prefetch at two distances, which is faster than loads alone (docs/performance.md), so the
// rate that they are compared with does too.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace kt {

// Reads `bytes` bytes (a multiple of 256) at `data` and returns some function of all of them, for the caller to
// keep so that nothing is optimised away. Needs AVX2. Prefetches, but never reads, up to 12 KiB behind the end.
__attribute__((target("avx2"), optimize("O2"))) inline uint64_t readRange(const void *data, uint64_t bytes) {
  const char *from = static_cast<const char *>(data);
  __m256i sums[8] = {}; // independent, so that the load ports stay busy
  for (const char *end = from + bytes; from < end; from += 256) {
#pragma GCC unroll 4
    for (int line = 0; line < 256; line += 64) {
      _mm_prefetch(from + line + 4096, _MM_HINT_T0);
      _mm_prefetch(from + line + 12288, _MM_HINT_T2);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i)
      sums[i] = _mm256_xor_si256(sums[i], _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from) + i));
  }
#pragma GCC unroll 8
  for (int i = 1; i < 8; ++i)
    sums[0] = _mm256_xor_si256(sums[0], sums[i]);
  return static_cast<uint64_t>(_mm256_extract_epi64(sums[0], 0) ^ _mm256_extract_epi64(sums[0], 3));
}

} // namespace kt
