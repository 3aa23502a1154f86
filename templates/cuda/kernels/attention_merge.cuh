// attention_merge: the splits of a head put together; one block per token and head.
#pragma once

#include "attention.cuh"

namespace kt {

template <int Heads, int VDim, int Splits, int SplitPositions, int64_t YStride, int Window, bool Sinks,
          bool BfloatY, int Threads, bool Dynamic, int M>
struct AttentionMerge {
  static __device__ void run(const KtCudaArgs &args) {
    constexpr int row = VDim + 16;
    __shared__ float factors[Splits < 4 ? 4 : Splits]; // four are read at a time, also where fewer count
    const int token = blockIdx.x / Heads, head = blockIdx.x % Heads, lane = threadIdx.x % 32;
    if (token >= tokenCount<Dynamic, M>(args))
      return;
    const int seen = static_cast<const int32_t *>(args.operands[2])[token] + 1;
    const int count = splitCount<SplitPositions, Splits>(Window > 0 ? min(seen, Window) : seen);
    const float *partials =
        static_cast<const float *>(args.operands[0]) + (int64_t(token) * Heads + head) * Splits * row;
    // Every warp finds the scale of the splits.
    const float sink = Sinks ? static_cast<const float *>(args.operands[3])[head] : -3.402823466e+38f;
    float largest = sink;
    for (int split = lane; split < count; split += 32)
      largest = fmaxf(largest, partials[split * row + VDim]);
    largest = warpMax(largest);
    float sum = 0;
    for (int split = lane; split < count; split += 32) {
      const float factor = expf(partials[split * row + VDim] - largest);
      sum += factor * partials[split * row + VDim + 1];
      if (threadIdx.x < 32)
        factors[split] = factor;
    }
    sum = warpSum(sum) + (Sinks ? expf(sink - largest) : 0.0f);
    __syncthreads();
    for (int i = threadIdx.x; i < VDim; i += Threads) {
      float value = 0;
#pragma unroll 8
      for (int split = 0; split < count; ++split)
        value += factors[split] * partials[split * row + i];
      const int64_t at = token * YStride + int64_t(head) * VDim + i;
      if constexpr (BfloatY)
        static_cast<uint16_t *>(args.operands[1])[at] = floatToBfloat(value / sum);
      else
        static_cast<float *>(args.operands[1])[at] = value / sum;
    }
  }
};

} // namespace kt
