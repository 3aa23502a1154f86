// The splits of a token's positions: how many there are, and their merging by one block.
#pragma once

#include "reduce.cuh"
#include "store.cuh"

namespace kt {

// Splits of `length` positions: one per Each, rounded up to a power of two, at most Most.
template <int Each, int Most> __device__ inline int splitCount(int length) {
  int count = 1;
  while (count < Most && count * Each < length)
    count *= 2;
  return count;
}

// Puts the splits of up to Rows consecutive heads together. A partial result is VDim values, the largest score
// and the sum of the exponentials relative to it, and 14 unused ones.
template <int VDim, int Splits, int Rows> struct SplitMerge {
  static constexpr int row = VDim + 16, quads = VDim / 4;

  // The share of each of `count` splits in head `head`, the sum of all with the sink divided out; one warp.
  static __device__ void shares(const float *partials, const float *sinks, int head, int count,
                                float *factors) {
    constexpr int rounds = (Splits + 31) / 32;
    const int lane = threadIdx.x % 32;
    const float sink = sinks ? sinks[head] : -3.402823466e+38f;
    float2 scores[rounds]; // largest, sum
    float largest = sink;
#pragma unroll
    for (int i = 0; i < rounds; ++i) {
      const int split = lane + i * 32;
      scores[i] = make_float2(-3.402823466e+38f, 0.0f);
      if (split < count)
        scores[i] =
            __ldcg(reinterpret_cast<const float2 *>(partials + (int64_t(head) * Splits + split) * row + VDim));
      largest = fmaxf(largest, scores[i].x);
    }
    largest = warpMax(largest);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < rounds; ++i) {
      scores[i].x = expf(scores[i].x - largest);
      sum += scores[i].x * scores[i].y;
    }
    sum = warpSum(sum) + (sinks ? expf(sink - largest) : 0.0f);
#pragma unroll
    for (int i = 0; i < rounds; ++i)
      if (lane + i * 32 < count)
        factors[head * Splits + lane + i * 32] = scores[i].x / sum;
  }

  // The block's threads write `rows` heads to y from element `at` on, as bfloat16 with Bfloat. `factors`:
  // shared memory for Rows * Splits floats that nobody uses any more. `sinks`: of the heads, or NULL.
  template <bool Bfloat, int Threads>
  static __device__ void run(const float *partials, const float *sinks, int rows, int count, float *factors,
                             void *y, int64_t at) {
    for (int head = threadIdx.x / 32; head < rows; head += Threads / 32)
      shares(partials, sinks, head, count, factors);
    __syncthreads();
    for (int i = threadIdx.x; i < rows * quads; i += Threads) {
      const int head = i / quads, column = i % quads * 4;
      const float *from = partials + int64_t(head) * Splits * row + column;
      float4 sum = make_float4(0, 0, 0, 0);
#pragma unroll 8
      for (int split = 0; split < count; ++split) {
        const float4 value = __ldcg(reinterpret_cast<const float4 *>(from + split * row));
        const float factor = factors[head * Splits + split];
        sum.x = fmaf(factor, value.x, sum.x), sum.y = fmaf(factor, value.y, sum.y);
        sum.z = fmaf(factor, value.z, sum.z), sum.w = fmaf(factor, value.w, sum.w);
      }
      const int64_t to = at + int64_t(head) * VDim + column;
      store<Bfloat>(y, to, sum.x), store<Bfloat>(y, to + 1, sum.y);
      store<Bfloat>(y, to + 2, sum.z), store<Bfloat>(y, to + 3, sum.w);
    }
  }
};

} // namespace kt
