// y[t] = row of token t, as float32: a block per token, a thread per 16 elements.
#pragma once

#include "quant.cuh"

namespace kt {

// Operands: 0 tokens int32, 1 w, 2 y. Ids outside of the vocabulary give row 0.
template <int Type, int K, int Vocab, int M, bool Dynamic, int64_t YStride> struct Embed {
  static __device__ void run(const KtCudaArgs &args) {
    const int token = blockIdx.x;
    if (token >= tokenCount<Dynamic, M>(args))
      return;
    const int id = static_cast<const int32_t *>(args.operands[0])[token];
    const uint8_t *row = static_cast<const uint8_t *>(args.operands[1]) +
                         (id >= 0 && id < Vocab ? id : 0) * Weights<Type>::rowBytes(K);
    float *y = static_cast<float *>(args.operands[2]) + token * YStride;
    for (int group = threadIdx.x; group * 16 < K; group += blockDim.x) {
      float values[16];
      Weights<Type>::floats(row, group, K - group * 16, values);
#pragma unroll
      for (int i = 0; i < 16; ++i)
        if (K % 16 == 0 || group * 16 + i < K)
          y[group * 16 + i] = values[i];
    }
  }
};

} // namespace kt
