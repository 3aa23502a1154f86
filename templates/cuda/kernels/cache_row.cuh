// Rows on their way to attention: pairs that are rotated, and elements that are stored in a KV cache.
#pragma once

#include "mma.cuh"
#include "quantize_row.cuh"
#include "reduce.cuh"

namespace kt {

enum class CacheType : int { Half, Bfloat, Float, Q8 };

// Bytes of `elements` elements of a cache (whole blocks).
template <CacheType Type> __host__ __device__ constexpr int64_t cacheBytes(int64_t elements) {
  return Type == CacheType::Q8 ? elements / 32 * 34 : Type == CacheType::Float ? elements * 4 : elements * 2;
}

// Rotates pair `i` of the row at x (global or shared memory) by an angle's cosine and sine.
template <int Dims, bool Neox> __device__ inline void rotatePair(float *x, float2 angle, int i) {
  float *first = Neox ? x + i : x + 2 * i, *second = Neox ? x + i + Dims / 2 : x + 2 * i + 1;
  const float a = *first, b = *second;
  *first = a * angle.x - b * angle.y;
  *second = a * angle.y + b * angle.x;
}
// The same by the angles of its position, one for each pair.
template <int Dims, bool Neox> __device__ inline void rotatePair(float *x, const float *angles, int i) {
  rotatePair<Dims, Neox>(x, reinterpret_cast<const float2 *>(angles)[i], i);
}

// One block of q8_0 by a warp, an element per lane: d = max|x| / 127 as float16, then the bytes. Addresses are
// even.
__device__ inline void storeQ8Block(float value, int lane, uint8_t *block) {
  const float largest = warpMax(fabsf(value));
  const float inverse = fminf(__fdiv_rn(127.0f, largest), 3.402823466e+38f);
  const float q = rintf(__fmul_rn(value, inverse));
  block[2 + lane] = static_cast<uint8_t>(fabsf(q) <= 127.0f ? int(q) : -128);
  if (lane == 0)
    *reinterpret_cast<uint16_t *>(block) = floatToHalf(__fdiv_rn(largest, 127.0f));
}

// Stores `Width` elements at the cache row `to`: a team of `Threads` threads (whole warps) of which this is
// number `thread`. x is float32 in global or shared memory.
template <CacheType Type, int Width, int Threads>
__device__ inline void storeCacheRow(const float *x, uint8_t *to, int thread) {
  if constexpr (Type == CacheType::Q8) {
    for (int block = thread / 32; block < Width / 32; block += Threads / 32)
      storeQ8Block(x[block * 32 + thread % 32], thread % 32, to + block * 34);
  } else {
    for (int i = thread; i < Width; i += Threads)
      if constexpr (Type == CacheType::Float)
        reinterpret_cast<float *>(to)[i] = x[i];
      else
        reinterpret_cast<uint16_t *>(to)[i] = Type == CacheType::Half ? floatToHalf(x[i]) : floatToBfloat(x[i]);
  }
}

} // namespace kt
