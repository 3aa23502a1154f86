// y[t][b] = W[b] x[t][b] for many tokens: a block has 128 rows and 64 or 128 tokens.
#pragma once

#include "linear.cuh"
#include "tile.cuh"

namespace kt {

template <int Type, int N, int K, int M, bool Dynamic, class L, bool XBfloat, int XAlign, bool YBfloat,
          bool Bias, bool Accumulate, int Part, int Tokens>
struct LinearTile {
  using T = Tile<K, Tokens, XBfloat, XAlign>;

  static __device__ void run(const KtCudaArgs &args) {
    extern __shared__ __align__(16) uint8_t shared[];
    using O = LinearOperands<Part>;
    const int count = tokenCount<Dynamic, M>(args);
    const int first = blockIdx.x * tileRows, firstToken = blockIdx.y * Tokens, batch = blockIdx.z;
    if (firstToken >= count)
      return;
    constexpr int64_t rowBytes = Weights<Type>::rowBytes(K);
    const uint8_t *w = static_cast<const uint8_t *>(args.operands[O::w]) + batch * L::wBatchRows * rowBytes;
    const uint8_t *x = static_cast<const uint8_t *>(args.operands[O::x]) + batch * L::xBatchStride * T::xBytes;
    // What lies past the ends is computed from the last row and token, and never stored.
    auto rowAt = [&](int row) { return w + int64_t(first + row < N ? first + row : N - 1) * rowBytes; };
    auto tokenAt = [&](int t) {
      return x + int64_t(firstToken + t < count ? firstToken + t : count - 1) * L::xStride * T::xBytes;
    };
    typename T::Sums sums = {};
    T::template run<Type>(shared, rowAt, tokenAt, sums);
    T::forEach(sums, [&](int row, int token, float value, int, int, int) {
      if (first + row < N && firstToken + token < count)
        storeLinear<L, N, Part, Bias, Accumulate, YBfloat>(
            args, firstToken + token, batch, first + row, value,
            readLinear<L, Part, Accumulate>(args, firstToken + token, batch, first + row));
    });
  }
};

} // namespace kt
