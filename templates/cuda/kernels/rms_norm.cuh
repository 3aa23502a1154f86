// rms_norm and quantize: one block per row, which stays in registers from the only time that it is read.
//
// With one token this runs between all matrix products of a layer, so it is made for latency: rows that other
// lanes produced (host memory) are asked for first, everything is one pass with one reduction.
#pragma once

#include "quantize_row.cuh"

namespace kt {

// Where the rows of a kernel lie: row r of token t begins at t * Stride + r * RowStride.
template <int64_t Stride_, int64_t RowStride_> struct RowPlaces {
  static __device__ int64_t offset(int token, int row) { return token * Stride_ + row * RowStride_; }
};

template <int K, int Threads, int Group, bool Vector> struct RowShape {
  static constexpr int k = K, threads = Threads, group = Group;
  static constexpr bool vector = Vector, quantizable = K % Group == 0;
  static constexpr int chunks = (K + Threads * laneElements - 1) / (Threads * laneElements); // per thread
  static __device__ int chunk(int i) { return i * Threads + threadIdx.x; }
};

// Eps is the float's bits. Adds: how many of operands 5 and 6 are added to x first; SigmoidGate: the last of
// them times sigmoid(operand 7).
template <class Shape, uint32_t Eps, int Rows, class X, class Y, bool RowOffset, int Adds, bool SigmoidGate,
          bool Dynamic, int M>
struct RmsNorm {
  static constexpr int K = Shape::k, chunks = Shape::chunks;
  static constexpr bool vector = Shape::vector;
  using Values = float[chunks][laneElements];

  static __device__ void load(const float *row, Values &values) {
#pragma unroll
    for (int i = 0; i < chunks; ++i)
      loadChunk<K, vector>(row, Shape::chunk(i), values[i]);
  }

  static __device__ void addTo(Values &x, const Values &added, float factor) {
#pragma unroll
    for (int i = 0; i < chunks; ++i)
#pragma unroll
      for (int j = 0; j < laneElements; ++j)
        x[i][j] = __fadd_rn(x[i][j], __fmul_rn(factor, added[i][j]));
  }

  // x of the row, with what is to be added, which is also written back.
  static __device__ void loadSum(const KtCudaArgs &args, float *row, int token, Values &x) {
    if constexpr (Adds == 0) {
      load(row, x);
    } else {
      Values first, second;
      load(static_cast<const float *>(args.operands[5]) + int64_t(token) * K, first);
      if constexpr (Adds == 2)
        load(static_cast<const float *>(args.operands[6]) + int64_t(token) * K, second);
      load(row, x);
      float gate = 1.0f;
      if constexpr (SigmoidGate)
        gate = 1.0f / (1.0f + expf(-static_cast<const float *>(args.operands[7])[token]));
      addTo(x, first, Adds == 1 ? gate : 1.0f);
      if constexpr (Adds == 2)
        addTo(x, second, gate);
#pragma unroll
      for (int i = 0; i < chunks; ++i)
        storeChunk<K, vector>(row, Shape::chunk(i), x[i]);
    }
  }

  static __device__ void store(const KtCudaArgs &args, int token, int row, const Values &values) {
    const int64_t to = Y::offset(token, row);
    if (float *y = static_cast<float *>(args.operands[2]))
#pragma unroll
      for (int i = 0; i < chunks; ++i)
        storeChunk<K, vector>(y + to, Shape::chunk(i), values[i]);
    if (uint16_t *y = static_cast<uint16_t *>(args.operands[4]))
#pragma unroll
      for (int i = 0; i < chunks; ++i)
        storeChunkBfloat<K, vector>(y + to, Shape::chunk(i), values[i]);
    if constexpr (Shape::quantizable)
      if (uint8_t *q = static_cast<uint8_t *>(args.operands[3]))
#pragma unroll
        for (int i = 0; i < chunks; ++i)
          quantizeChunk<K, Shape::group>(values[i], Shape::chunk(i),
                                         q + (int64_t(token) * Rows + row) * quantizedBytes<K, Shape::group>());
  }

  static __device__ void run(const KtCudaArgs &args) {
    const int token = blockIdx.x / Rows, row = blockIdx.x % Rows;
    if (token >= tokenCount<Dynamic, M>(args))
      return;
    float *x = static_cast<float *>(args.operands[0]);
    if (RowOffset)
      x += X::offset(args.step->rowOffset, 0);
    Values values, weights;
    loadSum(args, x + X::offset(token, row), token, values);
    const float *w = static_cast<const float *>(args.operands[1]);
    if (w)
      load(w, weights);
    float squares = 0;
#pragma unroll
    for (int i = 0; i < chunks; ++i)
#pragma unroll
      for (int j = 0; j < laneElements; ++j)
        squares += values[i][j] * values[i][j];
    __shared__ float scratch[32];
    squares = blockSum<Shape::threads>(squares, scratch);
    const float factor = __fdiv_rn(1.0f, __fsqrt_rn(__fdiv_rn(squares, float(K)) + __uint_as_float(Eps)));
#pragma unroll
    for (int i = 0; i < chunks; ++i)
#pragma unroll
      for (int j = 0; j < laneElements; ++j)
        values[i][j] = values[i][j] * factor * (w ? weights[i][j] : 1.0f);
    store(args, token, row, values);
  }
};

// Quantised rows of float32 rows.
template <class Shape, int Rows, class X, bool Dynamic, int M> struct Quantize {
  static __device__ void run(const KtCudaArgs &args) {
    constexpr int K = Shape::k;
    const int token = blockIdx.x / Rows, row = blockIdx.x % Rows;
    if (token >= tokenCount<Dynamic, M>(args))
      return;
    const float *x = static_cast<const float *>(args.operands[0]) + X::offset(token, row);
    uint8_t *q = static_cast<uint8_t *>(args.operands[1]) +
                 (int64_t(token) * Rows + row) * quantizedBytes<K, Shape::group>();
#pragma unroll 1
    for (int i = 0; i < Shape::chunks; ++i) {
      float values[laneElements];
      loadChunk<K, Shape::vector>(x, Shape::chunk(i), values);
      quantizeChunk<K, Shape::group>(values, Shape::chunk(i), q);
    }
  }
};

} // namespace kt
