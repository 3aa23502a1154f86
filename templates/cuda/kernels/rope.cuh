// rope: rotation of rows in place, and kv_store: rows appended to a cache.
#pragma once

#include "cache_row.cuh"
#include "rms_norm.cuh"

namespace kt {

// A thread per pair; BlocksPerToken blocks share the pairs of a token.
template <int Dims, int Rows, class X, bool Neox, int Threads, int BlocksPerToken, bool Dynamic, int M>
struct Rope {
  static __device__ void run(const KtCudaArgs &args) {
    const int token = blockIdx.x / BlocksPerToken;
    const int pair = blockIdx.x % BlocksPerToken * Threads + threadIdx.x;
    if (token >= tokenCount<Dynamic, M>(args) || pair >= Rows * (Dims / 2))
      return;
    const int position = static_cast<const int32_t *>(args.operands[2])[token];
    const float *angles = static_cast<const float *>(args.operands[1]) + int64_t(position) * Dims;
    float *x = static_cast<float *>(args.operands[0]) + X::offset(token, pair / (Dims / 2));
    rotatePair<Dims, Neox>(x, angles, pair % (Dims / 2));
  }
};

// CacheStride is in elements.
template <int Width, int64_t XStride, CacheType Type, int64_t CacheStride, int Threads, bool Dynamic, int M>
struct KvStore {
  static __device__ void run(const KtCudaArgs &args) {
    const int token = blockIdx.x;
    if (token >= tokenCount<Dynamic, M>(args))
      return;
    const int64_t position = static_cast<const int32_t *>(args.operands[2])[token];
    storeCacheRow<Type, Width, Threads>(
        static_cast<const float *>(args.operands[0]) + token * XStride,
        static_cast<uint8_t *>(args.operands[1]) + position * cacheBytes<Type>(CacheStride), threadIdx.x);
  }
};

} // namespace kt
