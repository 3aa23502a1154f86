// Stores of results as float32 or bfloat16, and the gated activations.
#pragma once

#include "convert.cuh"

namespace kt {

// y[index] = value, rounded to bfloat16 if AsBfloat.
template <bool AsBfloat> __device__ inline void store(void *y, int64_t index, float value) {
  if constexpr (AsBfloat)
    static_cast<unsigned short *>(y)[index] = floatToBfloat(value);
  else
    static_cast<float *>(y)[index] = value;
}

// Act: 0 silu, 1 gelu_tanh, 2 swiglu_oai.
template <int Act> __device__ inline float gated(float gate, float up) {
  if constexpr (Act == 0) {
    return gate / (1.0f + __expf(-gate)) * up;
  } else if constexpr (Act == 1) {
    const float inner = 0.7978845608f * (gate + 0.044715f * gate * gate * gate);
    return 0.5f * gate * (1.0f + tanhf(inner)) * up;
  } else {
    const float limited = fminf(gate, 7.0f), shifted = fminf(fmaxf(up, -7.0f), 7.0f) + 1.0f;
    return limited / (1.0f + __expf(-1.702f * limited)) * shifted;
  }
}

} // namespace kt
