// gqa_prepare and mla_prepare: everything between the projections and attention in one kernel.
#pragma once

#include "cache_row.cuh"

namespace kt {

// Rows of a token are its query heads, its key heads and its value heads; every warp takes one of them, in
// shared memory. Eps is the float's bits; Norm: weights may still be absent.
//
// One load after the other would be most of the time, so all of them are started before anything is computed.
template <int Heads, int KvHeads, int HeadDim, int VDim, int64_t QStride, int64_t KStride, int64_t VStride,
          CacheType Type, bool Norm, uint32_t Eps, int Dims, bool Neox, int Warps, bool Dynamic, int M>
struct GqaPrepare {
  static constexpr int rows = Heads + 2 * KvHeads, blocksPerToken = (rows + Warps - 1) / Warps;
  static constexpr int length = HeadDim > VDim ? HeadDim : VDim, perLane = (length + 31) / 32;
  static constexpr int pairs = Dims / 2, pairsPerLane = Dims > 0 ? (pairs + 31) / 32 : 1;
  using Elements = float[perLane]; // element lane + 32 i of a row
  using Angles = float2[pairsPerLane];

  static __device__ void load(const float *from, int count, int lane, Elements &out) {
#pragma unroll
    for (int i = 0; i < perLane; ++i)
      out[i] = lane + 32 * i < count ? from[lane + 32 * i] : 0.0f;
  }
  static __device__ void loadAngles(const float *table, int lane, Angles &out) {
#pragma unroll
    for (int i = 0; i < pairsPerLane; ++i)
      if (lane + 32 * i < pairs)
        out[i] = reinterpret_cast<const float2 *>(table)[lane + 32 * i];
  }

  // x = x * (1 / sqrt(mean(x^2) + eps)) * w, by a warp.
  static __device__ void norm(Elements &x, const Elements &w) {
    float squares = 0;
#pragma unroll
    for (int i = 0; i < perLane; ++i)
      squares += x[i] * x[i];
    squares = warpSum(squares);
    const float factor = __fdiv_rn(1.0f, __fsqrt_rn(__fdiv_rn(squares, float(HeadDim)) + __uint_as_float(Eps)));
#pragma unroll
    for (int i = 0; i < perLane; ++i)
      x[i] = x[i] * factor * w[i];
  }

  // Makes of the loaded elements the row in shared memory: norm (with weights) and rotation of a query or key.
  static __device__ void prepare(Elements &values, const float *weights, const Elements &w,
                                 const Angles &angles, bool rotates, float *row, int lane) {
    if (Norm && weights)
      norm(values, w);
#pragma unroll
    for (int i = 0; i < perLane; ++i)
      if (lane + 32 * i < length)
        row[lane + 32 * i] = values[i];
    __syncwarp();
    if (!rotates)
      return;
#pragma unroll
    for (int i = 0; i < pairsPerLane; ++i)
      if (lane + 32 * i < pairs)
        rotatePair<Dims, Neox>(row, angles[i], lane + 32 * i);
    __syncwarp();
  }

  static __device__ void run(const KtCudaArgs &args) {
    __shared__ __align__(16) float heads[Warps][length];
    const int token = blockIdx.x / blocksPerToken, lane = threadIdx.x % 32;
    const int row = blockIdx.x % blocksPerToken * Warps + threadIdx.x / 32;
    if (token >= tokenCount<Dynamic, M>(args) || row >= rows)
      return;
    const bool isValue = row >= Heads + KvHeads, isKey = row >= Heads && !isValue;
    const int head = isValue ? row - Heads - KvHeads : isKey ? row - Heads : row;
    const int64_t position = static_cast<const int32_t *>(args.operands[6])[token];
    float *x = static_cast<float *>(isValue ? args.operands[2] : isKey ? args.operands[1] : args.operands[0]);
    x += isValue ? token * VStride + head * VDim : token * (isKey ? KStride : QStride) + head * HeadDim;
    const float *weights = static_cast<const float *>(isKey ? args.operands[4] : args.operands[3]);
    if (isValue)
      weights = nullptr;
    Elements values, w;
    Angles angles;
    load(x, isValue ? VDim : HeadDim, lane, values);
    if (Norm && weights)
      load(weights, HeadDim, lane, w);
    if (Dims > 0 && !isValue)
      loadAngles(static_cast<const float *>(args.operands[5]) + position * Dims, lane, angles);
    float *prepared = heads[threadIdx.x / 32];
    prepare(values, weights, w, angles, Dims > 0 && !isValue, prepared, lane);
    uint8_t *cache = static_cast<uint8_t *>(isValue ? args.operands[8] : args.operands[7]);
    const int64_t cacheRow = position * KvHeads + head;
    if (isValue)
      storeCacheRow<Type, VDim, 32>(prepared, cache + cacheBytes<Type>(cacheRow * VDim), lane);
    else if (isKey)
      storeCacheRow<Type, HeadDim, 32>(prepared, cache + cacheBytes<Type>(cacheRow * HeadDim), lane);
    else
      for (int i = lane; i < HeadDim; i += 32)
        x[i] = prepared[i];
  }
};

// The first block of a token makes its cache row, the others rotate its query heads.
template <int Heads, int Latent, int Rotary, uint32_t Eps, bool Neox, int64_t QStride, int64_t QRowStride,
          int64_t KvStride, CacheType Type, int Threads, int BlocksPerToken, bool Dynamic, int M>
struct MlaPrepare {
  static __device__ void storeRow(const KtCudaArgs &args, int token, int64_t position, const float *angles) {
    __shared__ __align__(16) float row[Latent + Rotary];
    __shared__ float scratch[32];
    const float *kv = static_cast<const float *>(args.operands[1]) + token * KvStride;
    const float *w = static_cast<const float *>(args.operands[2]);
    float squares = 0;
    for (int i = threadIdx.x; i < Latent + Rotary; i += Threads) {
      row[i] = kv[i];
      if (i < Latent)
        squares += kv[i] * kv[i];
    }
    squares = blockSum<Threads>(squares, scratch); // its barrier also makes the row visible
    const float factor = __fdiv_rn(1.0f, __fsqrt_rn(__fdiv_rn(squares, float(Latent)) + __uint_as_float(Eps)));
    for (int i = threadIdx.x; i < Latent; i += Threads)
      row[i] = row[i] * factor * (w ? w[i] : 1.0f);
    for (int i = threadIdx.x; i < Rotary / 2; i += Threads)
      rotatePair<Rotary, Neox>(row + Latent, angles, i);
    __syncthreads();
    storeCacheRow<Type, Latent + Rotary, Threads>(
        row, static_cast<uint8_t *>(args.operands[5]) + cacheBytes<Type>(position * (Latent + Rotary)),
        threadIdx.x);
  }

  static __device__ void run(const KtCudaArgs &args) {
    const int token = blockIdx.x / BlocksPerToken, part = blockIdx.x % BlocksPerToken;
    if (token >= tokenCount<Dynamic, M>(args))
      return;
    const int64_t position = static_cast<const int32_t *>(args.operands[4])[token];
    const float *angles = static_cast<const float *>(args.operands[3]) + position * Rotary;
    if (part == 0)
      return storeRow(args, token, position, angles);
    constexpr int pairs = Heads * (Rotary / 2);
    float *q = static_cast<float *>(args.operands[0]) + token * QStride;
    for (int pair = (part - 1) * Threads + threadIdx.x; pair < pairs; pair += (BlocksPerToken - 1) * Threads)
      rotatePair<Rotary, Neox>(q + pair / (Rotary / 2) * QRowStride, angles, pair % (Rotary / 2));
  }
};

} // namespace kt
