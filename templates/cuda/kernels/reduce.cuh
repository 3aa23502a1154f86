// Sums and maxima over the lanes of a warp and the threads of a block.
//
// Every thread gets the result, and the order of additions is fixed, so results are reproducible bit for bit.
#pragma once

#include "base.cuh"

namespace kt {

constexpr uint32_t allLanes = 0xffffffffu;

__device__ inline float warpSum(float value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2)
    value += __shfl_xor_sync(allLanes, value, distance);
  return value;
}
// NaN is left out.
__device__ inline float warpMax(float value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2)
    value = fmaxf(value, __shfl_xor_sync(allLanes, value, distance));
  return value;
}

// Sum over a block of `Threads` threads, a multiple of 32. `scratch` is shared memory of Threads / 32 floats
// that no thread uses otherwise until the block's next barrier after the call.
template <int Threads> __device__ inline float blockSum(float value, float *scratch) {
  constexpr int warps = Threads / 32;
  value = warpSum(value);
  if (warps == 1)
    return value;
  if (threadIdx.x % 32 == 0)
    scratch[threadIdx.x / 32] = value;
  __syncthreads();
  const int lane = threadIdx.x % 32;
  return warpSum(lane < warps ? scratch[lane] : 0.0f);
}

} // namespace kt
