// rms_norm with `products`: the normed rows, and beside them their products with float32 weights (a router's).
//
// Nobody waits for the normed rows: a block that multiplies finds the factor of the norm itself from the row,
// which it reads anyway.
#pragma once

#include "rms_norm.cuh"

namespace kt {

// Norm is the RmsNorm of these rows, in Threads threads; the first M blocks run it. The others have a row of
// weights and up to Tokens tokens each. Operands 0 x, 1 norm weights, 8 weights [N][K], 9 y [m][N].
template <class Norm, int N, int K, uint32_t Eps, class X, int Threads, int Tokens, int M> struct NormProducts {
  static constexpr int quads = K / 4, perThread = (quads + Threads - 1) / Threads;

  static __device__ float4 *scaledWeights() {
    extern __shared__ __align__(16) float4 scaled[];
    return scaled;
  }
  static __device__ int weightRow() { return (int(blockIdx.x) - M) % N; }
  static __device__ int firstToken() { return (int(blockIdx.x) - M) / N * Tokens; }

  // The weights times those of the norm; a thread reads only what it wrote itself.
  static __device__ void prefetch(const KtCudaArgs &args) {
    if (int(blockIdx.x) < M)
      return;
    const float4 *w = static_cast<const float4 *>(args.operands[8]) + int64_t(weightRow()) * quads;
    const float4 *norm = static_cast<const float4 *>(args.operands[1]);
#pragma unroll 4
    for (int i = threadIdx.x; i < quads; i += Threads) {
      const float4 a = w[i], b = norm ? norm[i] : make_float4(1, 1, 1, 1);
      scaledWeights()[i] = make_float4(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w);
    }
  }

  static __device__ void run(const KtCudaArgs &args) {
    if (int(blockIdx.x) < M)
      return Norm::run(args);
    const float *x = static_cast<const float *>(args.operands[0]);
    float sums[Tokens] = {}, squares[Tokens] = {};
#pragma unroll 4
    for (int i = 0; i < perThread; ++i) {
      const int quad = i * Threads + threadIdx.x;
      if (quads % Threads != 0 && quad >= quads)
        break;
      float4 values[Tokens];
#pragma unroll
      for (int t = 0; t < Tokens; ++t) {
        const int token = firstToken() + t < M ? firstToken() + t : M - 1;
        values[t] = reinterpret_cast<const float4 *>(x + X::offset(token, 0))[quad];
      }
      const float4 w = scaledWeights()[quad];
#pragma unroll
      for (int t = 0; t < Tokens; ++t) {
        const float4 v = values[t];
        sums[t] = fmaf(v.x, w.x, fmaf(v.y, w.y, fmaf(v.z, w.z, fmaf(v.w, w.w, sums[t]))));
        squares[t] = fmaf(v.x, v.x, fmaf(v.y, v.y, fmaf(v.z, v.z, fmaf(v.w, v.w, squares[t]))));
      }
    }
    store(args, sums, squares);
  }

  // Sums over the block, times the factor of the norm.
  static __device__ void store(const KtCudaArgs &args, float (&sums)[Tokens], float (&squares)[Tokens]) {
    __shared__ float2 parked[Tokens][Threads / 32];
#pragma unroll
    for (int t = 0; t < Tokens; ++t) {
      const float sum = warpSum(sums[t]), square = warpSum(squares[t]);
      if (threadIdx.x % 32 == 0)
        parked[t][threadIdx.x / 32] = make_float2(sum, square);
    }
    __syncthreads();
    const int token = firstToken() + threadIdx.x;
    if (threadIdx.x >= Tokens || token >= M)
      return;
    float sum = 0, square = 0;
#pragma unroll
    for (int warp = 0; warp < Threads / 32; ++warp) {
      const float2 part = parked[threadIdx.x][warp];
      sum += part.x, square += part.y;
    }
    const float factor = __fdiv_rn(1.0f, __fsqrt_rn(__fdiv_rn(square, float(K)) + __uint_as_float(Eps)));
    static_cast<float *>(args.operands[9])[int64_t(token) * N + weightRow()] = sum * factor;
  }
};

} // namespace kt
