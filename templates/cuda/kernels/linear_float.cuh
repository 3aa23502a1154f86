// y[t][b] = W[b] x[t][b] with float32 weights, in float32: a block has one row (many small blocks, for routers)
// and up to 8 tokens, and reads Vector elements at a time.
#pragma once

#include "linear.cuh"

namespace kt {

template <int N, int K, int M, bool Dynamic, class L, bool XBfloat, bool YBfloat, bool Bias, bool Accumulate,
          int Part, int Tokens, int Vector>
struct LinearFloat {
  static constexpr int threads = 128;

  // Vector consecutive elements from `index` on.
  static __device__ void readWeights(const float *w, int64_t index, float (&out)[Vector]) {
    if constexpr (Vector == 4) {
      const float4 four = *reinterpret_cast<const float4 *>(w + index);
      out[0] = four.x, out[1] = four.y, out[2] = four.z, out[3] = four.w;
    } else {
      out[0] = w[index];
    }
  }
  static __device__ void readTokens(const void *x, int64_t index, float (&out)[Vector]) {
    if constexpr (!XBfloat) {
      readWeights(static_cast<const float *>(x), index, out);
    } else if constexpr (Vector == 4) {
      const uint2 two = *reinterpret_cast<const uint2 *>(static_cast<const uint16_t *>(x) + index);
      out[0] = __uint_as_float(two.x << 16), out[1] = __uint_as_float(two.x & 0xffff0000u);
      out[2] = __uint_as_float(two.y << 16), out[3] = __uint_as_float(two.y & 0xffff0000u);
    } else {
      out[0] = bfloatToFloat(static_cast<const uint16_t *>(x)[index]);
    }
  }
  // Into the second-level cache, by the first of the blocks that read the row.
  static __device__ void prefetch(const KtCudaArgs &args) {
    constexpr int line = 128 / 4; // elements
    const float *w = static_cast<const float *>(args.operands[LinearOperands<Part>::w]) +
                     (blockIdx.z * L::wBatchRows + blockIdx.x) * K;
    if (blockIdx.y == 0)
      for (int i = threadIdx.x * line; i < K; i += threads * line)
        prefetchLine(w + i);
  }

  static __device__ void run(const KtCudaArgs &args) {
    __shared__ float parked[threads / 32][Tokens];
    using O = LinearOperands<Part>;
    const int count = tokenCount<Dynamic, M>(args);
    const int row = blockIdx.x, firstToken = blockIdx.y * Tokens, batch = blockIdx.z;
    if (firstToken >= count)
      return;
    const float *w = static_cast<const float *>(args.operands[O::w]) + (batch * L::wBatchRows + row) * K;
    float sums[Tokens] = {};
#pragma unroll 4
    for (int i = threadIdx.x * Vector; i < K; i += threads * Vector) {
      float weights[Vector];
      readWeights(w, i, weights);
#pragma unroll
      for (int t = 0; t < Tokens; ++t) {
        const int token = firstToken + t < count ? firstToken + t : count - 1;
        float values[Vector];
        readTokens(args.operands[O::x], token * L::xStride + batch * L::xBatchStride + i, values);
#pragma unroll
        for (int v = 0; v < Vector; ++v)
          sums[t] = fmaf(weights[v], values[v], sums[t]);
      }
    }
#pragma unroll
    for (int t = 0; t < Tokens; ++t) {
#pragma unroll
      for (int d = 16; d > 0; d /= 2)
        sums[t] += __shfl_xor_sync(0xffffffffu, sums[t], d);
      if (threadIdx.x % 32 == 0)
        parked[threadIdx.x / 32][t] = sums[t];
    }
    __syncthreads();
    const int t = threadIdx.x;
    if (t < Tokens && firstToken + t < count) {
      float sum = 0;
#pragma unroll
      for (int warp = 0; warp < threads / 32; ++warp)
        sum += parked[warp][t];
      storeLinear<L, N, Part, Bias, Accumulate, YBfloat>(
          args, firstToken + t, batch, row, sum,
          readLinear<L, Part, Accumulate>(args, firstToken + t, batch, row));
    }
  }
};

} // namespace kt
