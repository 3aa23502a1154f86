// h[slot] = act(Wg x + bg) * (Wu x + bu) for up to 16 tokens: a block has 16 rows of one active expert.
#pragma once

#include "experts.cuh"
#include "store.cuh"
#include "stream.cuh"

namespace kt {

// Operands: 0 x, 2 gate, 3 up, 4 h, 5 lists, 7 and 8 biases.
template <int GateType, int UpType, int N, int K, int M, int Experts, int TopK, bool Dense, int Act, bool Bias,
          int64_t XStride, int64_t GateRows, int64_t UpRows, bool XBfloat, int XAlign, bool YBfloat, int Warps,
          int Stages>
struct GateUpStream {
  static constexpr int tokenTiles = (M + 7) / 8, xBytes = XBfloat ? 2 : 4;
  static constexpr bool together = GateType == UpType; // one ring for both matrices
  using S = Stream<GateType, K, together ? 2 : 1, tokenTiles, M, xBytes, XAlign, Stages, Warps, Dense>;
  using U = Stream<UpType, K, 1, tokenTiles, M, xBytes, XAlign, Stages, Warps, false>;
  using Lists = ExpertLists<Experts, Dense>;
  static constexpr int warpBytes = S::warpBytes > U::warpBytes || together ? S::warpBytes : U::warpBytes;

  // The gate's rows of an expert in tile 0, the up matrix's in tile 1; Up: only those.
  template <bool Up> struct Rows {
    const uint8_t *gate, *up;
    int first;
    __device__ Rows(const KtCudaArgs &args, int expert)
        : gate(static_cast<const uint8_t *>(args.operands[2]) + expert * GateRows * S::rowBytes),
          up(static_cast<const uint8_t *>(args.operands[3]) + expert * UpRows * U::rowBytes),
          first(blockIdx.x * 16) {}
    __device__ const uint8_t *operator()(int tile, int row) const {
      const int64_t wanted = first + row < N ? first + row : N - 1;
      return Up ? up + wanted * U::rowBytes : (tile == 0 ? gate : up) + wanted * S::rowBytes;
    }
  };

  // Without lists, which other kernels write, there is one expert.
  static __device__ void prefetch(const KtCudaArgs &args) {
    extern __shared__ __align__(16) uint8_t shared[];
    const int warp = threadIdx.x / 32;
    if constexpr (Dense)
      S::prefetch(shared + warp * warpBytes, warp, Rows<false>(args, 0));
  }

  static __device__ void run(const KtCudaArgs &args) {
    extern __shared__ __align__(16) uint8_t shared[];
    const int32_t *lists = static_cast<const int32_t *>(args.operands[5]);
    if (static_cast<int>(blockIdx.y) >= Lists::active(lists))
      return;
    const ActiveExpert expert = Lists::expert(lists, blockIdx.y, M);
    const int tokens = expert.count < M ? expert.count : M;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, first = blockIdx.x * 16;
    const int mySlot = expert.slot(lane < tokens ? lane : 0);
    const uint8_t *x = static_cast<const uint8_t *>(args.operands[0]);
    auto tokenAt = [&](int t) {
      return x + int64_t(__shfl_sync(0xffffffffu, mySlot, t) / (Dense ? 1 : TopK)) * XStride * xBytes;
    };
    uint8_t *ring = shared + warp * warpBytes;
    float *parked = reinterpret_cast<float *>(shared);
    float *parkedUp = parked + Warps * tokenTiles * 128;
    float sums[together ? 2 : 1][tokenTiles][4] = {};
    S::run(ring, warp, tokens, Rows<false>(args, expert.id), tokenAt, sums);
    float upSums[1][tokenTiles][4] = {};
    if constexpr (!together)
      U::run(ring, warp, tokens, Rows<true>(args, expert.id), tokenAt, upSums);
    __syncthreads();
    S::park(parked, warp, sums);
    if constexpr (!together)
      U::park(parkedUp, warp, upSums);
    __syncthreads();
    for (int i = threadIdx.x; i < 16 * tokens; i += Warps * 32) {
      const int row = i % 16, token = i / 16;
      if (first + row >= N)
        continue;
      float g = S::sumAt(parked, 0, Warps, 0, row, token);
      float u = together ? S::sumAt(parked, 0, Warps, together ? 1 : 0, row, token)
                         : U::sumAt(parkedUp, 0, Warps, 0, row, token);
      if (Bias) {
        const int64_t at = int64_t(expert.id) * N + first + row;
        g += static_cast<const float *>(args.operands[7])[at];
        u += static_cast<const float *>(args.operands[8])[at];
      }
      store<YBfloat>(args.operands[4], int64_t(expert.slot(token)) * N + first + row, gated<Act>(g, u));
    }
  }
};

} // namespace kt
