// `gate_up` and `down_slots` for many tokens: a block has 128 rows and 64 or 128 slots of one expert.
//
// The grid has as many tiles as there can be; which expert and which of its slots a tile has follows from the
// expert lists on the device.
#pragma once

#include "experts.cuh"
#include "store.cuh"
#include "tile.cuh"

namespace kt {

// A tile of slots: `first` … of an expert.
struct SlotTile {
  ActiveExpert expert;
  int first; // -1: there is no such tile
};

// Tile number `index`. Every warp finds it for itself: 32 experts at a time, prefix sums of their tiles.
template <int Experts, bool Dense, int Tokens>
__device__ inline SlotTile findTile(const int32_t *lists, int index, int tokens) {
  using Lists = ExpertLists<Experts, Dense>;
  if constexpr (Dense)
    return {Lists::expert(lists, 0, tokens), index * Tokens < tokens ? index * Tokens : -1};
  const int lane = threadIdx.x % 32, active = lists[0];
  const int32_t *start = lists + Lists::start;
  for (int base = 0, before = 0; base < active; base += 32) {
    const int a = base + lane;
    const int own = a < active ? (start[a + 1] - start[a] + Tokens - 1) / Tokens : 0;
    int through = own; // tiles up to and with this lane's expert
#pragma unroll
    for (int d = 1; d < 32; d *= 2) {
      const int other = __shfl_up_sync(0xffffffffu, through, d);
      through += lane >= d ? other : 0;
    }
    const uint32_t found = __ballot_sync(0xffffffffu, before + through > index);
    if (found) {
      const int at = __ffs(found) - 1;
      const int skipped = before + __shfl_sync(0xffffffffu, through - own, at);
      return {Lists::expert(lists, base + at, tokens), (index - skipped) * Tokens};
    }
    before += __shfl_sync(0xffffffffu, through, 31);
  }
  return {{0, 0, nullptr}, -1};
}

// Operands: 0 x, 2 gate, 3 up, 4 h, 5 lists, 7 and 8 biases.
template <int GateType, int UpType, int N, int K, int M, bool Dynamic, int Experts, int TopK, bool Dense,
          int Act, bool Bias, int64_t XStride, int64_t GateRows, int64_t UpRows, bool XBfloat, int XAlign,
          bool YBfloat, int Tokens>
struct GateUpTile {
  using T = Tile<K, Tokens, XBfloat, XAlign>;

  static __device__ void run(const KtCudaArgs &args) {
    extern __shared__ __align__(16) uint8_t shared[];
    const int32_t *lists = static_cast<const int32_t *>(args.operands[5]);
    const SlotTile tile = findTile<Experts, Dense, Tokens>(lists, blockIdx.y, tokenCount<Dynamic, M>(args));
    if (tile.first < 0)
      return;
    const ActiveExpert &expert = tile.expert;
    const int first = blockIdx.x * tileRows;
    constexpr int64_t gateBytes = Weights<GateType>::rowBytes(K), upBytes = Weights<UpType>::rowBytes(K);
    const uint8_t *x = static_cast<const uint8_t *>(args.operands[0]);
    const uint8_t *gate = static_cast<const uint8_t *>(args.operands[2]) + expert.id * GateRows * gateBytes;
    const uint8_t *up = static_cast<const uint8_t *>(args.operands[3]) + expert.id * UpRows * upBytes;
    auto rowOf = [&](int row) { return int64_t(first + row < N ? first + row : N - 1); };
    auto slotOf = [&](int t) {
      return expert.slot(tile.first + t < expert.count ? tile.first + t : expert.count - 1);
    };
    auto tokenAt = [&](int t) { return x + int64_t(slotOf(t) / (Dense ? 1 : TopK)) * XStride * T::xBytes; };
    typename T::Sums gates = {}, ups = {};
    T::template run<GateType>(shared, [&](int row) { return gate + rowOf(row) * gateBytes; }, tokenAt, gates);
    T::template run<UpType>(shared, [&](int row) { return up + rowOf(row) * upBytes; }, tokenAt, ups);
    T::forEach(ups, [&](int row, int token, float u, int i, int j, int e) {
      if (first + row >= N || tile.first + token >= expert.count)
        return;
      float g = gates[i][j][e];
      if (Bias) {
        const int64_t at = int64_t(expert.id) * N + first + row;
        g += static_cast<const float *>(args.operands[7])[at];
        u += static_cast<const float *>(args.operands[8])[at];
      }
      store<YBfloat>(args.operands[4], int64_t(slotOf(token)) * N + first + row, gated<Act>(g, u));
    });
  }
};

// Operands: 0 h, 2 w, 3 z, 4 lists, 6 bias.
template <int Type, int N, int K, int M, bool Dynamic, int Experts, bool Bias, int64_t ExpertRows, bool XBfloat,
          int XAlign, int Tokens>
struct DownSlots {
  using T = Tile<K, Tokens, XBfloat, XAlign>;

  static __device__ void run(const KtCudaArgs &args) {
    extern __shared__ __align__(16) uint8_t shared[];
    const int32_t *lists = static_cast<const int32_t *>(args.operands[4]);
    const SlotTile tile = findTile<Experts, false, Tokens>(lists, blockIdx.y, tokenCount<Dynamic, M>(args));
    if (tile.first < 0)
      return;
    const ActiveExpert &expert = tile.expert;
    const int first = blockIdx.x * tileRows;
    constexpr int64_t rowBytes = Weights<Type>::rowBytes(K);
    const uint8_t *h = static_cast<const uint8_t *>(args.operands[0]);
    const uint8_t *w = static_cast<const uint8_t *>(args.operands[2]) + expert.id * ExpertRows * rowBytes;
    auto slotOf = [&](int t) {
      return expert.slot(tile.first + t < expert.count ? tile.first + t : expert.count - 1);
    };
    typename T::Sums sums = {};
    T::template run<Type>(
        shared, [&](int row) { return w + int64_t(first + row < N ? first + row : N - 1) * rowBytes; },
        [&](int t) { return h + int64_t(slotOf(t)) * K * T::xBytes; }, sums);
    T::forEach(sums, [&](int row, int token, float value, int, int, int) {
      if (first + row >= N || tile.first + token >= expert.count)
        return;
      if (Bias)
        value += static_cast<const float *>(args.operands[6])[int64_t(expert.id) * N + first + row];
      static_cast<float *>(args.operands[3])[int64_t(slotOf(token)) * N + first + row] = value;
    });
  }
};

// y[t] (+)= sum of w[slot] z[slot] over the slots of the token, in their order. Operands: 0 z, 1 weights, 2 y.
template <int N, int M, bool Dynamic, int TopK, bool Accumulate, int64_t YStride> struct SlotSum {
  static __device__ void run(const KtCudaArgs &args) {
    const int token = blockIdx.y, i = blockIdx.x * blockDim.x + threadIdx.x;
    if (token >= tokenCount<Dynamic, M>(args) || i >= N)
      return;
    const float *z = static_cast<const float *>(args.operands[0]) + int64_t(token) * TopK * N + i;
    const float *weights = static_cast<const float *>(args.operands[1]);
    float *y = static_cast<float *>(args.operands[2]) + int64_t(token) * YStride + i;
    float sum = Accumulate ? *y : 0.0f;
#pragma unroll 8
    for (int slot = 0; slot < TopK; ++slot)
      sum += (weights ? weights[token * TopK + slot] : 1.0f) * z[int64_t(slot) * N];
    *y = sum;
  }
};

} // namespace kt
