// y[t] (+)= sum over slots of w[slot] (Wd[e] h[slot] + b[e]) for up to 16 tokens: a block has 16 rows.
//
// Teams of warps take one active expert each and share its k; after each round of experts their results are
// added to y in ascending order of experts, so that sums are always the same.
#pragma once

#include "experts.cuh"
#include "store.cuh"
#include "stream.cuh"

namespace kt {

// Operands: 0 h, 2 w, 3 y, 4 lists, 5 slot weights or NULL, 6 bias.
template <int Type, int N, int K, int M, int Experts, int TopK, bool Accumulate, bool Bias, int64_t YStride,
          int64_t ExpertRows, bool XBfloat, int XAlign, int Teams, int TeamWarps, int Stages>
struct DownStream {
  static constexpr int tokenTiles = (M + 7) / 8, xBytes = XBfloat ? 2 : 4, warps = Teams * TeamWarps;
  using S = Stream<Type, K, 1, tokenTiles, M, xBytes, XAlign, Stages, TeamWarps, false>;
  using Lists = ExpertLists<Experts, false>;

  static __device__ void run(const KtCudaArgs &args) {
    extern __shared__ __align__(16) uint8_t shared[];
    float *parked = reinterpret_cast<float *>(shared + warps * S::warpBytes);
    float *results = parked + warps * tokenTiles * 128; // [token][16 rows]
    const int32_t *lists = static_cast<const int32_t *>(args.operands[4]);
    const float *factors = static_cast<const float *>(args.operands[5]);
    const float *biases = static_cast<const float *>(args.operands[6]);
    float *y = static_cast<float *>(args.operands[3]);
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, first = blockIdx.x * 16;
    const int active = Lists::active(lists);
    for (int i = threadIdx.x; i < 16 * M; i += warps * 32) {
      const bool keep = Accumulate && first + i % 16 < N;
      results[i] = keep ? y[i / 16 * YStride + first + i % 16] : 0.0f;
    }
    for (int round = 0; round < active; round += Teams) {
      float sums[1][tokenTiles][4] = {};
      const int mine = round + warp / TeamWarps;
      if (mine < active) {
        const ActiveExpert expert = Lists::expert(lists, mine, M);
        const int tokens = expert.count < M ? expert.count : M;
        const int mySlot = expert.slot(lane < tokens ? lane : 0);
        const uint8_t *h = static_cast<const uint8_t *>(args.operands[0]);
        auto tokenAt = [&](int t) { return h + int64_t(__shfl_sync(0xffffffffu, mySlot, t)) * K * xBytes; };
        const uint8_t *w =
            static_cast<const uint8_t *>(args.operands[2]) + expert.id * ExpertRows * S::rowBytes;
        auto rowAt = [&](int, int row) {
          return w + int64_t(first + row < N ? first + row : N - 1) * S::rowBytes;
        };
        S::run(shared + warp * S::warpBytes, warp % TeamWarps, tokens, rowAt, tokenAt, sums);
      }
      S::park(parked, warp, sums);
      __syncthreads();
      const int rounds = active - round < Teams ? active - round : Teams;
      if (threadIdx.x < 16) { // one thread per row, experts in order
        const int row = threadIdx.x;
        for (int team = 0; team < rounds; ++team) {
          const ActiveExpert expert = Lists::expert(lists, round + team, M);
          for (int i = 0; i < (expert.count < M ? expert.count : M); ++i) {
            const int slot = expert.slot(i);
            float value = S::sumAt(parked, team * TeamWarps, TeamWarps, 0, row, i);
            if (Bias && first + row < N)
              value += biases[int64_t(expert.id) * N + first + row];
            results[slot / TopK * 16 + row] += (factors ? factors[slot] : 1.0f) * value;
          }
        }
      }
      __syncthreads();
    }
    __syncthreads();
    for (int i = threadIdx.x; i < 16 * M; i += warps * 32)
      if (first + i % 16 < N)
        y[i / 16 * YStride + first + i % 16] = results[i];
  }
};

} // namespace kt
