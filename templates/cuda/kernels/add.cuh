// y[t] += g(gate[t]) * x[t]: one block per token.
#pragma once

#include "base.cuh"

namespace kt {

template <int K, int XStride, int YStride, bool SigmoidGate, bool Dynamic, int M> struct Add {
  static __device__ void run(const KtCudaArgs &args) {
    const int token = blockIdx.x;
    if (token >= tokenCount<Dynamic, M>(args))
      return;
    const float *x = static_cast<const float *>(args.operands[0]) + int64_t(token) * XStride;
    float *y = static_cast<float *>(args.operands[1]) + int64_t(token) * YStride;
    float factor = 1.0f;
    if (SigmoidGate)
      factor = 1.0f / (1.0f + expf(-static_cast<const float *>(args.operands[2])[token]));
    for (int i = threadIdx.x; i < K; i += blockDim.x)
      y[i] += factor * x[i];
  }
};

} // namespace kt
