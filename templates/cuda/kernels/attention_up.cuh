// attention_up: the splits of a head put together and multiplied with the head's own weights.
//
// Every block of a head's rows puts the head's splits together itself. That reads them several times, but from
// the second-level cache by the whole GPU, and saves a kernel that everything waits for.
#pragma once

#include "attention_splits.cuh"
#include "linear.cuh"

namespace kt {

// Puts the splits of a token's head together. A partial result: attention_splits.cuh. Nothing waits for the
// position: the scores of all splits and the values of the first few are read before it is there, and what they
// hold does not count where the token has fewer. Groups of threads share out the splits.
template <int Heads, int K, int Splits, int SplitPositions, int Threads> struct MergedHead {
  static constexpr int row = K + 16, quads = K / 4, rounds = (Splits + 31) / 32;
  static constexpr int fitting = Threads / quads, groups = fitting < 1 ? 1 : fitting < 4 ? fitting : 4;
  static constexpr int perGroup = (Splits + groups - 1) / groups, most = 4 / groups,
                       early = perGroup < most ? perGroup : most;
  static constexpr int parkedQuads = groups > 1 ? (groups - 1) * quads : 1;

  // Adds `value` times `factor`, unless it does not count.
  static __device__ void add(float4 &sum, const float4 &value, float factor, bool counts) {
    sum.x = counts ? fmaf(factor, value.x, sum.x) : sum.x,
    sum.y = counts ? fmaf(factor, value.y, sum.y) : sum.y;
    sum.z = counts ? fmaf(factor, value.z, sum.z) : sum.z,
    sum.w = counts ? fmaf(factor, value.w, sum.w) : sum.w;
  }

  // What the values of split lane + 32 i are multiplied with; `scores` are its largest score and sum.
  static __device__ void shares(const float2 (&scores)[rounds], int count, int lane, float (&share)[rounds]) {
    float largest = -3.402823466e+38f, sum = 0;
#pragma unroll
    for (int i = 0; i < rounds; ++i)
      largest = lane + 32 * i < count ? fmaxf(largest, scores[i].x) : largest;
    largest = warpMax(largest);
#pragma unroll
    for (int i = 0; i < rounds; ++i) {
      share[i] = lane + 32 * i < count ? expf(scores[i].x - largest) : 0.0f;
      sum += lane + 32 * i < count ? share[i] * scores[i].y : 0.0f;
    }
    sum = warpSum(sum);
#pragma unroll
    for (int i = 0; i < rounds; ++i)
      share[i] /= sum;
  }
  static __device__ float shareOf(const float (&share)[rounds], int split) {
    float result = 0;
#pragma unroll
    for (int i = 0; i < rounds; ++i) {
      const float other = __shfl_sync(allLanes, share[i], split % 32);
      result = split / 32 == i ? other : result;
    }
    return result;
  }

  // The sum of the splits group, group + groups, … at `from`.
  static __device__ float4 sumOf(const float4 *from, const float2 (&scores)[rounds], const int32_t *position,
                                 int group, int lane) {
    float4 ahead[early], sum = make_float4(0, 0, 0, 0);
#pragma unroll
    for (int i = 0; i < early; ++i)
      ahead[i] = from[min(group + groups * i, Splits - 1) * (row / 4)];
    const int count = splitCount<SplitPositions, Splits>(*position + 1);
    float share[rounds];
    shares(scores, count, lane, share);
#pragma unroll
    for (int i = 0; i < early; ++i)
      add(sum, ahead[i], shareOf(share, group + groups * i), group + groups * i < count);
#pragma unroll 16
    for (int i = early; i * groups < count; ++i) { // all lanes of a warp go as far
      const int split = group + groups * i;
      const float4 value = from[min(split, count - 1) * (row / 4)];
      add(sum, value, shareOf(share, split), split < count);
    }
    return sum;
  }

  // The block's threads, whole warps, write the head as bfloat16 to `to` in shared memory, which is visible
  // after the next barrier. `parked`: shared memory that nobody uses before it.
  static __device__ void run(const float *partials, const int32_t *position, float4 *parked, uint16_t *to) {
    const int lane = threadIdx.x % 32;
    float2 scores[rounds];
#pragma unroll
    for (int i = 0; i < rounds; ++i)
      scores[i] = lane + 32 * i < Splits
                      ? *reinterpret_cast<const float2 *>(partials + (lane + 32 * i) * row + K)
                      : make_float2(0, 0);
    const float4 *all = reinterpret_cast<const float4 *>(partials);
    for (int first = 0; first < quads; first += Threads) { // once, if there are several groups
      const int quad = groups == 1 ? first + threadIdx.x : threadIdx.x % quads;
      const int group = groups == 1 ? 0 : threadIdx.x / quads;
      const bool isUsed = quad < quads && group < groups;
      float4 sum = sumOf(all + (isUsed ? quad : 0), scores, position, isUsed ? group : 0, lane);
      if constexpr (groups > 1) {
        if (isUsed && group > 0)
          parked[(group - 1) * quads + quad] = sum;
        __syncthreads();
#pragma unroll
        for (int other = 0; other < groups - 1; ++other)
          if (isUsed && group == 0)
            add(sum, parked[other * quads + quad], 1.0f, true);
      }
      if (isUsed && group == 0)
        *reinterpret_cast<uint2 *>(to + quad * 4) = {pack<Bfloat>(sum.x, sum.y), pack<Bfloat>(sum.z, sum.w)};
    }
  }
};

// Product: the LinearStream of a head per batch, with bfloat16 rows. Its Warps warps multiply, all Threads put
// together. Operands as of `linear`, but 0 partial results and 4 positions.
template <class Product, int N, int K, int M, class L, bool YBfloat, int Tiles, int Warps, int Heads,
          int Splits, int SplitPositions, int Threads>
struct AttentionUp {
  using S = typename Product::S;
  using Head = MergedHead<Heads, K, Splits, SplitPositions, Threads>;

  struct TokenAt {
    static constexpr bool isShared = true;
    const uint16_t *rows;
    __device__ const uint8_t *operator()(int token) const {
      return reinterpret_cast<const uint8_t *>(rows + token * K);
    }
  };

  static __device__ void prefetch(const KtCudaArgs &args) {
    if (threadIdx.x / 32 < Warps)
      Product::prefetch(args);
  }

  static __device__ void run(const KtCudaArgs &args) {
    extern __shared__ __align__(16) uint8_t shared[];
    __shared__ __align__(16) uint16_t merged[M][K];
    __shared__ float4 parkedHead[Head::parkedQuads];
    const int warp = threadIdx.x / 32, head = blockIdx.y, first = blockIdx.x * Tiles * 16;
    const float *partials = static_cast<const float *>(args.operands[0]);
    const int32_t *positions = static_cast<const int32_t *>(args.operands[4]);
#pragma unroll 1
    for (int token = 0; token < M; ++token) {
      Head::run(partials + (int64_t(token) * Heads + head) * Splits * Head::row, positions + token, parkedHead,
                merged[token]);
      __syncthreads();
    }
    float sums[Tiles][Product::tokenTiles][4] = {};
    if (warp < Warps)
      S::run(shared + warp * S::warpBytes, warp, M, typename Product::Rows(args, blockIdx.x, head),
             TokenAt{merged[0]}, sums);
    __syncthreads();
    float *parked = reinterpret_cast<float *>(shared);
    if (warp < Warps)
      S::park(parked, warp, sums);
    __syncthreads();
    for (int i = threadIdx.x; i < Tiles * 16 * M; i += Threads) {
      const int row = i % (Tiles * 16), token = i / (Tiles * 16);
      if (first + row < N)
        storeLinear<L, N, 0, false, false, YBfloat>(args, token, head, first + row,
                                                    S::sumAt(parked, 0, Warps, row / 16, row % 16, token), 0);
    }
  }
};

} // namespace kt
