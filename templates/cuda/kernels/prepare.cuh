// gqa_prepare and mla_prepare: everything between the projections and attention in one kernel.
#pragma once

#include "cache_row.cuh"

namespace kt {

// Rows of a token are its query heads, its key heads and its value heads; every warp takes one of them, in
// shared memory. Eps is the float's bits; Norm: weights may still be absent.
template <int Heads, int KvHeads, int HeadDim, int VDim, int64_t QStride, int64_t KStride, int64_t VStride,
          CacheType Type, bool Norm, uint32_t Eps, int Dims, bool Neox, int Warps, bool Dynamic, int M>
struct GqaPrepare {
  static constexpr int rows = Heads + 2 * KvHeads, blocksPerToken = (rows + Warps - 1) / Warps;

  // x = x * (1 / sqrt(mean(x^2) + eps)) * w, by a warp.
  static __device__ void normHead(float *x, const float *w, int lane) {
    float squares = 0;
    for (int i = lane; i < HeadDim; i += 32)
      squares += x[i] * x[i];
    squares = warpSum(squares);
    const float factor = __fdiv_rn(1.0f, __fsqrt_rn(__fdiv_rn(squares, float(HeadDim)) + __uint_as_float(Eps)));
    for (int i = lane; i < HeadDim; i += 32)
      x[i] = x[i] * factor * w[i];
  }

  // Norm and rotation of a query or key head.
  static __device__ void prepareHead(float *x, const float *w, const float *angles, int lane) {
    if (Norm && w)
      normHead(x, w, lane);
    if constexpr (Dims > 0) {
      __syncwarp();
      for (int i = lane; i < Dims / 2; i += 32)
        rotatePair<Dims, Neox>(x, angles, i);
    }
    __syncwarp();
  }

  static __device__ void run(const KtCudaArgs &args) {
    constexpr int length = HeadDim > VDim ? HeadDim : VDim;
    __shared__ __align__(16) float heads[Warps][length];
    const int token = blockIdx.x / blocksPerToken, lane = threadIdx.x % 32;
    const int row = blockIdx.x % blocksPerToken * Warps + threadIdx.x / 32;
    if (token >= tokenCount<Dynamic, M>(args) || row >= rows)
      return;
    float *x = heads[threadIdx.x / 32];
    const bool isValue = row >= Heads + KvHeads, isKey = row >= Heads && !isValue;
    const int head = isValue ? row - Heads - KvHeads : isKey ? row - Heads : row;
    float *from =
        static_cast<float *>(args.operands[isValue ? 2
                                           : isKey ? 1
                                                   : 0]) +
        (isValue ? token * VStride + head * VDim : token * (isKey ? KStride : QStride) + head * HeadDim);
    const int64_t position = static_cast<const int32_t *>(args.operands[6])[token];
    for (int i = lane; i < (isValue ? VDim : HeadDim); i += 32)
      x[i] = from[i];
    __syncwarp();
    if (isValue) {
      storeCacheRow<Type, VDim, 32>(
          x, static_cast<uint8_t *>(args.operands[8]) + cacheBytes<Type>((position * KvHeads + head) * VDim),
          lane);
      return;
    }
    prepareHead(x, static_cast<const float *>(args.operands[isKey ? 4 : 3]),
                static_cast<const float *>(args.operands[5]) + position * Dims, lane);
    if (isKey)
      storeCacheRow<Type, HeadDim, 32>(
          x, static_cast<uint8_t *>(args.operands[7]) + cacheBytes<Type>((position * KvHeads + head) * HeadDim),
          lane);
    else
      for (int i = lane; i < HeadDim; i += 32)
        from[i] = x[i];
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
