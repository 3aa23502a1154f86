// top_logits: the Count largest logits of each token in order; one block per token.
//
// The Count-th largest of what the threads find as their largest is a bound that at least Count logits reach
// and seldom many more, so the second pass over the row keeps few.
#pragma once

#include "argmax.cuh"

namespace kt {

template <int N, int Count, int Threads, bool Dynamic, int M> struct TopLogits {
  using Order = Argmax<N, Threads, Dynamic, M>;
  static constexpr int capacity = 2048; // kept in the second pass

  struct Shared {
    uint64_t maxima[Threads], kept[capacity];
    uint64_t bound;
    int count;
  };

  // The largest of the thread's logits that lie below `limit`; 0 when there is none.
  static __device__ uint64_t largestBelow(const float *logits, uint64_t limit) {
    uint64_t best = 0;
#pragma unroll 8
    for (int i = threadIdx.x; i < N; i += Threads) {
      const uint64_t rank = Order::rank(logits[i], i);
      best = rank < limit && rank > best ? rank : best;
    }
    return best;
  }

  static __device__ void store(const KtCudaArgs &args, const float *logits, int place, uint64_t rank) {
    const int id = static_cast<int>(~static_cast<uint32_t>(rank));
    static_cast<int32_t *>(args.operands[1])[int64_t(blockIdx.x) * Count + place] = id;
    static_cast<float *>(args.operands[2])[int64_t(blockIdx.x) * Count + place] = logits[id];
  }

  // Keeps all logits from the bound on; returns how many there are, which may be more than were kept.
  static __device__ int keepLargest(const float *logits, Shared &shared) {
    const uint64_t mine = largestBelow(logits, ~0ull);
    shared.maxima[threadIdx.x] = mine;
    if (threadIdx.x == 0)
      shared.count = 0;
    __syncthreads();
    int larger = 0;
    for (int i = 0; i < Threads; ++i)
      larger += shared.maxima[i] > mine;
    if (larger == Count - 1 && mine != 0)
      shared.bound = mine; // ranks differ: one thread
    __syncthreads();
    const uint64_t bound = shared.bound;
#pragma unroll 8
    for (int i = threadIdx.x; i < N; i += Threads) {
      const uint64_t rank = Order::rank(logits[i], i);
      if (rank < bound)
        continue;
      const int place = atomicAdd(&shared.count, 1);
      if (place < capacity)
        shared.kept[place] = rank;
    }
    __syncthreads();
    return shared.count;
  }

  // One after the other, for rows with too many large logits in the places of few threads.
  static __device__ void takeInTurn(const KtCudaArgs &args, const float *logits, Shared &shared) {
    uint64_t limit = ~0ull;
    for (int place = 0; place < Count; ++place) {
      const uint64_t best = Order::warpLargest(largestBelow(logits, limit));
      __syncthreads();
      if (threadIdx.x % 32 == 0)
        shared.maxima[threadIdx.x / 32] = best;
      __syncthreads();
      limit = Order::warpLargest(threadIdx.x % 32 < Threads / 32 ? shared.maxima[threadIdx.x % 32] : 0);
      if (threadIdx.x == 0)
        store(args, logits, place, limit);
    }
  }

  static __device__ void run(const KtCudaArgs &args) {
    __shared__ Shared shared;
    if (static_cast<int>(blockIdx.x) >= tokenCount<Dynamic, M>(args))
      return;
    const float *logits = static_cast<const float *>(args.operands[0]) + int64_t(blockIdx.x) * N;
    const int kept = keepLargest(logits, shared);
    if (kept > capacity)
      return takeInTurn(args, logits, shared);
    for (int i = threadIdx.x; i < kept; i += Threads) {
      const uint64_t rank = shared.kept[i];
      int place = 0;
      for (int j = 0; j < kept; ++j)
        place += shared.kept[j] > rank;
      if (place < Count)
        store(args, logits, place, rank);
    }
  }
};

} // namespace kt
