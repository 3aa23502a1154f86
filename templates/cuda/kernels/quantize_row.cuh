// Rows of activations in registers: 8 consecutive elements per lane, so that a warp holds the 256 elements of a
// q8k block, and their quantised form (runtime/abi/kt_abi.h), the same bytes as the reference gives for these
// floats.
#pragma once

#include "mma.cuh"
#include "reduce.cuh"

namespace kt {

constexpr int laneElements = 8;

// Loads elements 8 * chunk.. of a row of K elements; elements past its end are 0. With `Vector` the row is
// aligned to 16 bytes and K a multiple of 8.
template <int K, bool Vector>
__device__ inline void loadChunk(const float *row, int chunk, float (&values)[laneElements]) {
  const int first = chunk * laneElements;
  if constexpr (Vector) {
    float4 low = {0, 0, 0, 0}, high = {0, 0, 0, 0};
    if (first < K) {
      low = *reinterpret_cast<const float4 *>(row + first);
      high = *reinterpret_cast<const float4 *>(row + first + 4);
    }
    values[0] = low.x, values[1] = low.y, values[2] = low.z, values[3] = low.w;
    values[4] = high.x, values[5] = high.y, values[6] = high.z, values[7] = high.w;
  } else {
#pragma unroll
    for (int i = 0; i < laneElements; ++i)
      values[i] = first + i < K ? row[first + i] : 0.0f;
  }
}

template <int K, bool Vector>
__device__ inline void storeChunk(float *row, int chunk, const float (&values)[laneElements]) {
  const int first = chunk * laneElements;
  if constexpr (Vector) {
    if (first < K) {
      *reinterpret_cast<float4 *>(row + first) = {values[0], values[1], values[2], values[3]};
      *reinterpret_cast<float4 *>(row + first + 4) = {values[4], values[5], values[6], values[7]};
    }
  } else {
#pragma unroll
    for (int i = 0; i < laneElements; ++i)
      if (first + i < K)
        row[first + i] = values[i];
  }
}

template <int K, bool Vector>
__device__ inline void storeChunkBfloat(uint16_t *row, int chunk, const float (&values)[laneElements]) {
  const int first = chunk * laneElements;
  if constexpr (Vector) {
    if (first < K)
      *reinterpret_cast<uint4 *>(row + first) = {
          pack<Bfloat>(values[0], values[1]), pack<Bfloat>(values[2], values[3]),
          pack<Bfloat>(values[4], values[5]), pack<Bfloat>(values[6], values[7])};
  } else {
#pragma unroll
    for (int i = 0; i < laneElements; ++i)
      if (first + i < K)
        row[first + i] = floatToBfloat(values[i]);
  }
}

// Round to nearest even; NaN and what is far out of range become -128 like with the CPU's vector instructions.
__device__ inline int roundToByte(float value) {
  if (!(fabsf(value) < 2147483648.0f))
    return -128;
  return max(-128, min(127, __float2int_rn(value)));
}

// Bytes of a quantised row of K elements in groups of `Group` (32: q8, 256: q8k).
template <int K, int Group> __host__ __device__ constexpr int quantizedBytes() {
  const int bytes = Group == 32 ? K + K / 32 * 4 + K / 16 * 4 : K + K / 16 * 2 + K / 256 * 4;
  return (bytes + 63) / 64 * 64;
}

// Writes the quantised form of the lane's chunk. All lanes of a warp take part, with consecutive chunks of
// which the first is a multiple of 32; chunks past K write nothing. K is a multiple of Group.
template <int K, int Group>
__device__ inline void quantizeChunk(const float (&values)[laneElements], int chunk, uint8_t *row) {
  float largest = 0;
#pragma unroll
  for (int i = 0; i < laneElements; ++i)
    largest = fmaxf(largest, fabsf(values[i]));
#pragma unroll
  for (int distance = 1; distance < Group / laneElements; distance *= 2)
    largest = fmaxf(largest, __shfl_xor_sync(allLanes, largest, distance));
  const float inverse = fminf(__fdiv_rn(127.0f, largest), 3.402823466e+38f);
  const float scale = __fdiv_rn(largest, 127.0f);
  int sum = 0;
  uint32_t words[2] = {0, 0};
#pragma unroll
  for (int i = 0; i < laneElements; ++i) {
    const int q = roundToByte(__fmul_rn(values[i], inverse));
    sum += q;
    words[i / 4] |= uint32_t(q & 255) << (i % 4 * 8);
  }
  sum += __shfl_xor_sync(allLanes, sum, 1); // of 16 elements
  const int first = chunk * laneElements;
  if (first >= K)
    return;
  *reinterpret_cast<uint2 *>(row + first) = {words[0], words[1]};
  if constexpr (Group == 32) {
    if (chunk % 4 == 0)
      *reinterpret_cast<float *>(row + K + first / 32 * 4) = scale;
    if (chunk % 2 == 0)
      *reinterpret_cast<float *>(row + K + K / 32 * 4 + first / 16 * 4) = __fmul_rn(scale, float(sum));
  } else {
    if (chunk % 2 == 0)
      *reinterpret_cast<int16_t *>(row + K + first / 16 * 2) = static_cast<int16_t>(sum);
    if (chunk % 32 == 0)
      *reinterpret_cast<float *>(row + K + K / 16 * 2 + first / 256 * 4) = scale;
  }
}

} // namespace kt
