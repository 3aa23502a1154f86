// top_logits: the Count largest logits of each token in order, and the sum of all exponentials; several blocks
// per token.
//
// Every warp takes a chunk of the row: 32 neighbours at a time, far apart. It finds the chunk's largest logit
// and sums its exponentials. The block of the token that ends last goes on: the Count-th largest of what the
// chunks have as their largest is a bound that at least Count logits reach and seldom many more, and that only
// Count chunks or little more have to be read for again.
#pragma once

#include "select.cuh"

namespace kt {

template <int N, int Count, bool Dynamic, int M> struct TopLogits {
  static constexpr int threads = 1024, warps = threads / 32;
  static constexpr int chunks = N < threads * 32 ? (N + 31) / 32 : threads;
  static constexpr int blocks = (chunks + warps - 1) / warps; // per token; gridDim.x
  static constexpr int rounds = (N + chunks * 32 - 1) / (chunks * 32);
  static constexpr int capacity = 2048; // logits from the bound on that are ranked

  // What is kept of a chunk until the last block comes: the key of its largest logit and its sum, relative to
  // that.
  struct Chunk {
    uint32_t key;
    float sum;
  };
  struct Shared {
    uint64_t kept[capacity], sorted[Count];
    int hot[threads]; // chunks with logits that reach the bound
    float sums[warps];
    uint32_t largest[warps];
    int keptCount, hotCount;
    bool isLast;
  };

  // Key and index in one number that is larger for what comes first.
  static __device__ uint64_t rankOf(float value, uint32_t index) {
    return uint64_t(orderKey(value)) << 32 | uint32_t(~index);
  }
  // The logit of a key; -FLT_MAX for a NaN.
  static __device__ float logitOf(uint32_t key) {
    return __uint_as_float(key & 0x80000000u ? key ^ 0x80000000u : ~key);
  }
  // The logit number `round` of the calling lane in `chunk`.
  static __device__ int indexOf(int chunk, int round) {
    return (round * chunks + chunk) * 32 + static_cast<int>(threadIdx.x % 32);
  }

  static __device__ uint64_t warpLargest(uint64_t best) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
      const uint64_t other = __shfl_xor_sync(allLanes, static_cast<unsigned long long>(best), distance);
      best = other > best ? other : best;
    }
    return best;
  }

  // One warp.
  static __device__ Chunk summarize(const float *logits, int chunk) {
    float values[rounds];
    uint32_t key = excludedKey;
#pragma unroll
    for (int round = 0; round < rounds; ++round) {
      const int i = indexOf(chunk, round);
      values[round] = i < N ? logits[i] : __uint_as_float(0x7fffffffu); // not a number
    }
#pragma unroll
    for (int round = 0; round < rounds; ++round)
      key = indexOf(chunk, round) < N ? max(key, orderKey(values[round])) : key;
    key = __reduce_max_sync(allLanes, key);
    const float largest = logitOf(key);
    float sum = 0;
#pragma unroll
    for (int round = 0; round < rounds; ++round)
      sum += values[round] == values[round] ? expf(values[round] - largest) : 0.0f;
    return {key, warpSum(sum)};
  }

  // Σ exp(logit - largest logit) of all chunks, thread i having chunk i; the sum is that of the first thread.
  static __device__ float total(Chunk mine, Shared &shared) {
    const uint32_t ofWarp = __reduce_max_sync(allLanes, mine.key);
    if (threadIdx.x % 32 == 0)
      shared.largest[threadIdx.x / 32] = ofWarp;
    __syncthreads();
    const uint32_t largest = __reduce_max_sync(allLanes, shared.largest[threadIdx.x % 32]);
    const float part = mine.key == excludedKey ? 0.0f : mine.sum * expf(logitOf(mine.key) - logitOf(largest));
    return blockSum<threads>(part, shared.sums);
  }

  // The Count-th largest of the threads' keys; 0 if there are not that many.
  static __device__ uint32_t boundOf(uint32_t key) {
    uint32_t bound = 0;
#pragma unroll 1
    for (uint32_t bit = 0x80000000u; bit != 0; bit >>= 1)
      if (__syncthreads_count(key >= (bound | bit)) >= Count)
        bound |= bit;
    return bound;
  }

  // Keeps the ranks of all logits from the bound on; returns how many there are, which may be more than were
  // kept.
  static __device__ int keepLargest(const float *logits, uint32_t key, Shared &shared) {
    if (threadIdx.x == 0)
      shared.keptCount = shared.hotCount = 0;
    const uint32_t bound = boundOf(key);
    if (key != excludedKey && key >= bound)
      shared.hot[atomicAdd(&shared.hotCount, 1)] = threadIdx.x;
    __syncthreads();
    for (int i = threadIdx.x / 32; i < shared.hotCount; i += warps) {
#pragma unroll
      for (int round = 0; round < rounds; ++round) {
        const int index = indexOf(shared.hot[i], round);
        const float value = index < N ? logits[index] : 0.0f;
        if (index >= N || orderKey(value) < bound)
          continue;
        const int place = atomicAdd(&shared.keptCount, 1);
        if (place < capacity)
          shared.kept[place] = rankOf(value, index);
      }
    }
    __syncthreads();
    return shared.keptCount;
  }

  // One after the other, for rows with too many large logits in few chunks.
  static __device__ void takeInTurn(const float *logits, Shared &shared) {
    uint64_t limit = ~0ull;
    for (int place = 0; place < Count; ++place) {
      uint64_t best = 0;
#pragma unroll 8
      for (int i = threadIdx.x; i < N; i += threads) {
        const uint64_t rank = rankOf(logits[i], i);
        best = rank < limit && rank > best ? rank : best;
      }
      best = warpLargest(best);
      __syncthreads();
      if (threadIdx.x % 32 == 0)
        shared.kept[threadIdx.x / 32] = best;
      __syncthreads();
      limit = warpLargest(shared.kept[threadIdx.x % 32]);
      if (threadIdx.x == 0)
        shared.sorted[place] = limit;
    }
  }

  // By counting what comes before each.
  static __device__ void sort(int kept, Shared &shared) {
    for (int i = threadIdx.x; i < kept; i += threads) {
      const uint64_t rank = shared.kept[i];
      int place = 0;
#pragma unroll 4
      for (int j = 0; j < kept; ++j)
        place += shared.kept[j] > rank;
      if (place < Count)
        shared.sorted[place] = rank;
    }
  }

  // Neighbours by neighbours: the results may lie in memory of the host.
  static __device__ void store(const KtCudaArgs &args, const float *logits, float sum, const Shared &shared) {
    for (int i = threadIdx.x; i < Count; i += threads) {
      const int id = static_cast<int>(~static_cast<uint32_t>(shared.sorted[i]));
      static_cast<int32_t *>(args.operands[1])[int64_t(blockIdx.y) * Count + i] = id;
      static_cast<float *>(args.operands[2])[int64_t(blockIdx.y) * Count + i] = logits[id];
    }
    if (threadIdx.x == 0)
      static_cast<float *>(args.operands[3])[blockIdx.y] = sum;
  }

  // True in the block of the token that comes here last. What the others wrote before is visible to it.
  static __device__ bool isLastBlock(const KtCudaArgs &args, Shared &shared) {
    __syncthreads();
    if (threadIdx.x == 0) {
      uint32_t *arrived = static_cast<uint32_t *>(args.operands[5]) + blockIdx.y;
      shared.isLast = blocks == 1 || addAcquireRelease(arrived, 1) == blocks - 1;
      if (shared.isLast)
        *arrived = 0;
    }
    __syncthreads();
    return shared.isLast;
  }

  static __device__ void run(const KtCudaArgs &args) {
    __shared__ Shared shared;
    if (static_cast<int>(blockIdx.y) >= tokenCount<Dynamic, M>(args))
      return;
    const float *logits = static_cast<const float *>(args.operands[0]) + int64_t(blockIdx.y) * N;
    uint2 *summaries = static_cast<uint2 *>(args.operands[4]) + int64_t(blockIdx.y) * chunks;
    const int chunk = blockIdx.x * warps + threadIdx.x / 32;
    if (chunk < chunks) {
      const Chunk mine = summarize(logits, chunk);
      if (threadIdx.x % 32 == 0)
        summaries[chunk] = make_uint2(mine.key, __float_as_uint(mine.sum));
    }
    if (!isLastBlock(args, shared))
      return;
    uint2 summary = make_uint2(excludedKey, 0);
    if (static_cast<int>(threadIdx.x) < chunks)
      summary = __ldcg(summaries + threadIdx.x);
    const float sum = total({summary.x, __uint_as_float(summary.y)}, shared);
    const int kept = keepLargest(logits, summary.x, shared);
    if (kept > capacity)
      takeInTurn(logits, shared);
    else
      sort(kept, shared);
    __syncthreads();
    store(args, logits, sum, shared);
  }
};

} // namespace kt
