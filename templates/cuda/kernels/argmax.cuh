// argmax: the index of the largest logit of each token, the lowest of equals; one block per token.
#pragma once

#include "select.cuh"

namespace kt {

template <int N, int Threads, bool Dynamic, int M> struct Argmax {
  // Key and index in one number that is larger for what is chosen.
  static __device__ uint64_t rank(float value, uint32_t index) {
    return uint64_t(orderKey(value)) << 32 | uint32_t(~index);
  }
  static __device__ uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

  static __device__ uint64_t warpLargest(uint64_t best) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
      best = larger(best, __shfl_xor_sync(allLanes, static_cast<unsigned long long>(best), distance));
    return best;
  }

  static __device__ void run(const KtCudaArgs &args) {
    __shared__ uint64_t scratch[Threads / 32];
    const int token = blockIdx.x;
    if (token >= tokenCount<Dynamic, M>(args))
      return;
    const float *logits = static_cast<const float *>(args.operands[0]) + int64_t(token) * N;
    uint64_t best = 0;
    constexpr int unrolled = 8; // loads in flight per thread
    int i = threadIdx.x;
    for (; i + (unrolled - 1) * Threads < N; i += unrolled * Threads) {
      float values[unrolled];
#pragma unroll
      for (int j = 0; j < unrolled; ++j)
        values[j] = logits[i + j * Threads];
#pragma unroll
      for (int j = 0; j < unrolled; ++j)
        best = larger(best, rank(values[j], i + j * Threads));
    }
    for (; i < N; i += Threads)
      best = larger(best, rank(logits[i], i));
    best = warpLargest(best);
    if (threadIdx.x % 32 == 0)
      scratch[threadIdx.x / 32] = best;
    __syncthreads();
    if (threadIdx.x >= 32)
      return;
    best = warpLargest(threadIdx.x < Threads / 32 ? scratch[threadIdx.x] : 0);
    if (threadIdx.x == 0)
      static_cast<int32_t *>(args.operands[1])[token] = static_cast<int32_t>(~static_cast<uint32_t>(best));
  }
};

} // namespace kt
