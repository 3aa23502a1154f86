// y[t][b] = W[b] x[t][b] with float32 weights, in float32: a block has one row (many small blocks, for routers)
// and up to 8 tokens.
#pragma once

#include "linear.cuh"

namespace kt {

template <int N, int K, int M, bool Dynamic, class L, bool XBfloat, bool YBfloat, bool Bias, bool Accumulate,
          bool Down, int Tokens>
struct LinearFloat {
  static constexpr int threads = 128;

  static __device__ float element(const void *x, int64_t i) {
    return XBfloat ? bfloatToFloat(static_cast<const unsigned short *>(x)[i])
                   : static_cast<const float *>(x)[i];
  }
  static __device__ void run(const KtCudaArgs &args) {
    __shared__ float parked[threads / 32][Tokens];
    using O = LinearOperands<Down>;
    const int count = tokenCount<Dynamic, M>(args);
    const int row = blockIdx.x, firstToken = blockIdx.y * Tokens, batch = blockIdx.z;
    if (firstToken >= count)
      return;
    const float *w = static_cast<const float *>(args.operands[O::w]) + (batch * L::wBatchRows + row) * K;
    float sums[Tokens] = {};
#pragma unroll 4
    for (int i = threadIdx.x; i < K; i += threads) {
      const float weight = w[i];
#pragma unroll
      for (int t = 0; t < Tokens; ++t) {
        const int token = firstToken + t < count ? firstToken + t : count - 1;
        sums[t] = fmaf(weight, element(args.operands[O::x], token * L::xStride + batch * L::xBatchStride + i),
                       sums[t]);
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
      storeLinear<L, N, Down, Bias, Accumulate, YBfloat>(args, firstToken + t, batch, row, sum);
    }
  }
};

} // namespace kt
