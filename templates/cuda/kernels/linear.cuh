// y[t][b] = W[b] x[t][b] for 1 to 16 tokens: a block has 16 * Tiles rows, its warps share k.
#pragma once

#include "store.cuh"
#include "stream.cuh"

namespace kt {

// Where the rows and tokens of a (batched) matrix product lie; strides in elements, all of y or x.
template <int64_t WBatchRows, int64_t XStride, int64_t XBatchStride, int64_t YStride, int64_t YBatchStride>
struct LinearLayout {
  static constexpr int64_t wBatchRows = WBatchRows, xStride = XStride, xBatchStride = XBatchStride,
                           yStride = YStride, yBatchStride = YBatchStride;
};

// Operands of part `Part` of `linear_group` (0: those of `linear`, too) 0 x, then w, y, bias of each part; of
// dense `down`, which is part -1, 0 h, 2 w, 3 y, 5 slot weights, 6 bias.
template <int Part> struct LinearOperands {
  static constexpr bool isDown = Part < 0;
  static constexpr int x = 0, w = isDown ? 2 : 1 + 3 * Part, y = w + 1, bias = isDown ? 6 : w + 2;
};

// What a result is added to.
template <class L, int Part, bool Accumulate>
__device__ inline float readLinear(const KtCudaArgs &args, int64_t token, int batch, int row) {
  if (!Accumulate)
    return 0;
  const float *y = static_cast<const float *>(args.operands[LinearOperands<Part>::y]);
  return y[token * L::yStride + batch * L::yBatchStride + row];
}

// Writes one result; `kept`: what readLinear() gave.
template <class L, int N, int Part, bool Bias, bool Accumulate, bool YBfloat>
__device__ inline void storeLinear(const KtCudaArgs &args, int64_t token, int batch, int row, float value,
                                   float kept) {
  using O = LinearOperands<Part>;
  if (Bias)
    value += static_cast<const float *>(args.operands[O::bias])[int64_t(batch) * N + row];
  if (O::isDown && args.operands[5])
    value *= static_cast<const float *>(args.operands[5])[token];
  if (Accumulate)
    value += kept;
  store<YBfloat>(args.operands[O::y], token * L::yStride + batch * L::yBatchStride + row, value);
}

template <int Type, int N, int K, int M, class L, bool XBfloat, int XAlign, bool YBfloat, bool Bias,
          bool Accumulate, int Part, int Tiles, int Warps, int Stages>
struct LinearStream {
  static constexpr int tokenTiles = (M + 7) / 8, xBytes = XBfloat ? 2 : 4;
  using S = Stream<Type, K, Tiles, tokenTiles, M, xBytes, XAlign, Stages, Warps, true>;

  using O = LinearOperands<Part>;

  // The weights of a block. Rows past the end are read as the last one and never stored.
  struct Rows {
    const uint8_t *w;
    int first;
    __device__ Rows(const KtCudaArgs &args, int block, int batch)
        : w(static_cast<const uint8_t *>(args.operands[O::w]) + batch * L::wBatchRows * S::rowBytes),
          first(block * Tiles * 16) {}
    __device__ const uint8_t *operator()(int tile, int row) const {
      const int wanted = first + tile * 16 + row;
      return w + int64_t(wanted < N ? wanted : N - 1) * S::rowBytes;
    }
  };

  static __device__ void prefetch(const KtCudaArgs &args) { prefetchBlock(args, blockIdx.x, blockIdx.y); }
  static __device__ void run(const KtCudaArgs &args) { runBlock(args, blockIdx.x, blockIdx.y); }

  // The same for block `block` of the rows of batch `batch`.
  static __device__ void prefetchBlock(const KtCudaArgs &args, int block, int batch) {
    extern __shared__ __align__(16) uint8_t shared[];
    const int warp = threadIdx.x / 32;
    S::prefetch(shared + warp * S::warpBytes, warp, Rows(args, block, batch));
  }

  static __device__ void runBlock(const KtCudaArgs &args, int block, int batch) {
    extern __shared__ __align__(16) uint8_t shared[];
    const int warp = threadIdx.x / 32, first = block * Tiles * 16;
    const uint8_t *x = static_cast<const uint8_t *>(args.operands[O::x]) + batch * L::xBatchStride * xBytes;
    auto tokenAt = [&](int t) { return x + t * L::xStride * xBytes; };
    // What is added to is read while the tokens are on their way, where a thread has one result at most.
    constexpr int results = Tiles * 16 * M;
    constexpr bool readsAhead = Accumulate && results <= Warps * 32;
    const auto read = [&](int i) {
      const int row = first + i % (Tiles * 16);
      return i < results && row < N ? readLinear<L, Part, Accumulate>(args, i / (Tiles * 16), batch, row)
                                    : 0.0f;
    };
    const float ahead = readsAhead ? read(threadIdx.x) : 0.0f;
    float sums[Tiles][tokenTiles][4] = {};
    S::run(shared + warp * S::warpBytes, warp, M, Rows(args, block, batch), tokenAt, sums);
    __syncthreads();
    float *parked = reinterpret_cast<float *>(shared);
    S::park(parked, warp, sums);
    __syncthreads();
    for (int i = threadIdx.x; i < results; i += Warps * 32) {
      const int row = i % (Tiles * 16), token = i / (Tiles * 16);
      if (first + row < N)
        storeLinear<L, N, Part, Bias, Accumulate, YBfloat>(
            args, token, batch, first + row, S::sumAt(parked, 0, Warps, row / 16, row % 16, token),
            readsAhead ? ahead : read(i));
    }
  }
};

} // namespace kt
