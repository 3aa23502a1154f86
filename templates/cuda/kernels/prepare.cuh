// gqa_prepare and mla_prepare: everything between the projections and attention in one kernel.
#pragma once

#include "cache_row.cuh"
#include "linear.cuh"

namespace kt {

// Elements lane + 32 i of a row of `count`, zeros behind it.
template <int PerLane>
__device__ inline void loadLane(const float *from, int count, int lane, float (&out)[PerLane]) {
#pragma unroll
  for (int i = 0; i < PerLane; ++i)
    out[i] = lane + 32 * i < count ? from[lane + 32 * i] : 0.0f;
}
// The angles of pairs lane + 32 i of a position.
template <int PerLane>
__device__ inline void loadAngles(const float *table, int pairs, int lane, float2 (&out)[PerLane]) {
#pragma unroll
  for (int i = 0; i < PerLane; ++i)
    if (lane + 32 * i < pairs)
      out[i] = reinterpret_cast<const float2 *>(table)[lane + 32 * i];
}
// 1 / sqrt(mean(x^2) + eps) of a row of `count` elements that a warp holds, zeros behind it; Eps: bits.
template <uint32_t Eps, int PerLane> __device__ inline float normFactor(const float (&x)[PerLane], int count) {
  float squares = 0;
#pragma unroll
  for (int i = 0; i < PerLane; ++i)
    squares += x[i] * x[i];
  squares = warpSum(squares);
  return __fdiv_rn(1.0f, __fsqrt_rn(__fdiv_rn(squares, float(count)) + __uint_as_float(Eps)));
}

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

  // x = x * (1 / sqrt(mean(x^2) + eps)) * w, by a warp.
  static __device__ void norm(Elements &x, const Elements &w) {
    const float factor = normFactor<Eps>(x, HeadDim);
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
    loadLane(x, isValue ? VDim : HeadDim, lane, values);
    if (Norm && weights)
      loadLane(weights, HeadDim, lane, w);
    if (Dims > 0 && !isValue)
      loadAngles(static_cast<const float *>(args.operands[5]) + position * Dims, pairs, lane, angles);
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

// Rows of a token are its cache row and its query heads; every warp takes one of them, and starts all loads
// before anything is computed. Head h of a query begins at h * QRowStride, its rotary part Nope elements later.
// It is rotated in place or, with BfloatY, on its way to the end of a row of operand 8.
template <int Heads, int Latent, int Rotary, uint32_t Eps, bool Neox, int Nope, int64_t QStride,
          int64_t QRowStride, int64_t KvStride, CacheType Type, bool BfloatY, int Warps, bool Dynamic, int M>
struct MlaPrepare {
  static constexpr int rows = Heads + 1, perLane = (Latent + 31) / 32, pairs = Rotary / 2;
  static constexpr int pairsPerLane = (pairs + 31) / 32;
  using Elements = float[perLane]; // element lane + 32 i of the latent
  using Pairs = float2[pairsPerLane];

  static __device__ int first(int pair) { return Neox ? pair : 2 * pair; }
  static __device__ int second(int pair) { return Neox ? pair + pairs : 2 * pair + 1; }
  static __device__ void loadPairs(const float *from, int lane, Pairs &out) {
#pragma unroll
    for (int i = 0; i < pairsPerLane; ++i)
      if (lane + 32 * i < pairs)
        out[i] = {from[first(lane + 32 * i)], from[second(lane + 32 * i)]};
  }
  static __device__ void put(float *to, float value) { *to = value; }
  static __device__ void put(uint16_t *to, float value) { *to = floatToBfloat(value); }
  // Rotates the pairs and writes them to a row.
  template <class T>
  static __device__ void rotateTo(T *row, const Pairs &values, const Pairs &angles, int lane) {
#pragma unroll
    for (int i = 0; i < pairsPerLane; ++i)
      if (const int pair = lane + 32 * i; pair < pairs) {
        const float2 angle = angles[i], value = values[i];
        put(row + first(pair), value.x * angle.x - value.y * angle.y);
        put(row + second(pair), value.x * angle.y + value.y * angle.x);
      }
  }

  // Norm and store of the latent: x = x * (1 / sqrt(mean(x^2) + eps)) * w.
  static __device__ void storeLatent(const Elements &x, const Elements &w, uint8_t *to, int lane) {
    const float factor = normFactor<Eps>(x, Latent);
#pragma unroll
    for (int i = 0; i < perLane; ++i) {
      const float value = x[i] * factor * w[i];
      if constexpr (Type == CacheType::Q8)
        storeQ8Block(value, lane, to + i * 34);
      else if (lane + 32 * i < Latent)
        storeCacheRow<Type, 1, 32>(&value, to + cacheBytes<Type>(lane + 32 * i), 0);
    }
  }

  // Row `row` of a token whose position is in `positions`.
  static __device__ void prepareRow(const KtCudaArgs &args, int token, int row, float *rotated, int lane) {
    const int32_t *positions = static_cast<const int32_t *>(args.operands[4]);
    const float *table = static_cast<const float *>(args.operands[3]);
    Pairs values, angles;
    if (row > 0) {
      float *q = static_cast<float *>(args.operands[0]) + token * QStride + (row - 1) * QRowStride + Nope;
      loadPairs(q, lane, values);
      loadAngles(table + int64_t(positions[token]) * Rotary, pairs, lane, angles);
      if constexpr (BfloatY)
        rotateTo(static_cast<uint16_t *>(args.operands[8]) +
                     (int64_t(token) * Heads + row - 1) * (Latent + Rotary) + Latent,
                 values, angles, lane);
      else
        rotateTo(q, values, angles, lane);
      return;
    }
    const float *kv = static_cast<const float *>(args.operands[1]) + token * KvStride;
    const float *weights = static_cast<const float *>(args.operands[2]);
    Elements x, w;
    loadLane(kv, Latent, lane, x);
    loadPairs(kv + Latent, lane, values);
#pragma unroll
    for (int i = 0; i < perLane; ++i)
      w[i] = 1.0f;
    if (weights)
      loadLane(weights, Latent, lane, w);
    const int64_t position = positions[token];
    uint8_t *cache = static_cast<uint8_t *>(args.operands[5]) + cacheBytes<Type>(position * (Latent + Rotary));
    loadAngles(table + position * Rotary, pairs, lane, angles); // on their way while the norm is computed
    storeLatent(x, w, cache, lane);
    rotateTo(rotated, values, angles, lane);
    __syncwarp();
    storeCacheRow<Type, Rotary, 32>(rotated, cache + cacheBytes<Type>(Latent), lane);
  }

  // Block `block` of those that prepare rows.
  static __device__ void runBlock(const KtCudaArgs &args, int block) {
    __shared__ __align__(16) float rotated[Warps][Rotary];
    const int warp = threadIdx.x / 32, index = block * Warps + warp, token = index / rows;
    if (token < tokenCount<Dynamic, M>(args))
      prepareRow(args, token, index % rows, rotated[warp], threadIdx.x % 32);
  }
  static __device__ void run(const KtCudaArgs &args) { runBlock(args, blockIdx.x); }
};

// MlaPrepare, and beside it the absorbed queries, which need nothing of it: Product is the LinearStream of a
// head per batch, with RowBlocks blocks each. The first PrepareBlocks blocks prepare.
template <class Prepare, int PrepareBlocks, class Product, int RowBlocks> struct MlaPrepareAbsorb {
  static __device__ void prefetch(const KtCudaArgs &args) {
    if (const int block = int(blockIdx.x) - PrepareBlocks; block >= 0)
      Product::prefetchBlock(args, block % RowBlocks, block / RowBlocks);
  }
  static __device__ void run(const KtCudaArgs &args) {
    if (const int block = int(blockIdx.x) - PrepareBlocks; block >= 0)
      Product::runBlock(args, block % RowBlocks, block / RowBlocks);
    else
      Prepare::runBlock(args, blockIdx.x);
  }
};

} // namespace kt
