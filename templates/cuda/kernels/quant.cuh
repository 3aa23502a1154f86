// Weights of every format as 16 bfloat16 or float32 at a time, from global or shared memory.
//
// `Weights<Type>` (Type: GGUF id, kt_types.h) is what matrix kernels see. A unit is what the four lanes c =
// 0..3 that share a row of a tensor-core fragment decode together: 256 weights of K-quants, 128 of others. Lane
// c takes the groups laneGroup(c, 0..groupsPerLane - 1) of 16 weights each.
#pragma once

#include "quant_k.cuh"

namespace kt {

template <int Type> struct Weights : Format<Type> {
  using Base = Format<Type>;
  static constexpr int unitBytes = Base::unitElements / Base::blockElements * Base::blockBytes;
  static constexpr int groupsPerBlock = Base::blockElements / 16;
  static __host__ __device__ constexpr int64_t rowBytes(int k) {
    return int64_t(k) / Base::blockElements * Base::blockBytes;
  }

  static __device__ Group readGroup(const uint8_t *start, int group) {
    return Base::read(start + group / groupsPerBlock * Base::blockBytes, group % groupsPerBlock);
  }
  template <int I> static __device__ float value(const Group &group) {
    const float q = byteToFloat<I % 4>(group.bytes[I / 4], Base::bias);
    return Base::hasMinimum ? fmaf(q, group.scale, group.minimum) : q * group.scale;
  }
  // The 16 weights of group `group` behind `start` in order. `valid` is the number that exist: here all.
  static __device__ void floats(const uint8_t *start, int group, int valid, float (&out)[16]) {
    const Group read = readGroup(start, group);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const Group word = {{read.bytes[i], 0, 0, 0}, read.scale, read.minimum};
      out[4 * i] = value<0>(word), out[4 * i + 1] = value<1>(word);
      out[4 * i + 2] = value<2>(word), out[4 * i + 3] = value<3>(word);
    }
  }
};

// Formats without blocks. `Bytes` per weight.
template <int Bytes> struct PlainWeights {
  static constexpr int blockBytes = Bytes, blockElements = 1, unitElements = 128, groupsPerLane = 2;
  static constexpr int unitBytes = 128 * Bytes, align = Bytes;
  static __host__ __device__ constexpr int64_t rowBytes(int k) { return int64_t(k) * Bytes; }
  static __device__ int laneGroup(int c, int i) { return 2 * c + i; }
};

template <> struct Weights<0> : PlainWeights<4> { // f32
  static __device__ void floats(const uint8_t *start, int group, int valid, float (&out)[16]) {
    const float *from = reinterpret_cast<const float *>(start) + group * 16;
#pragma unroll
    for (int i = 0; i < 16; ++i)
      out[i] = i < valid ? from[i] : 0.0f;
  }
};
template <> struct Weights<1> : PlainWeights<2> { // f16
  static __device__ void floats(const uint8_t *start, int group, int valid, float (&out)[16]) {
    const unsigned short *from = reinterpret_cast<const unsigned short *>(start) + group * 16;
#pragma unroll
    for (int i = 0; i < 16; ++i)
      out[i] = i < valid ? halfToFloat(from[i]) : 0.0f;
  }
};
template <> struct Weights<30> : PlainWeights<2> { // bf16
  static __device__ void floats(const uint8_t *start, int group, int valid, float (&out)[16]) {
    const unsigned short *from = reinterpret_cast<const unsigned short *>(start) + group * 16;
#pragma unroll
    for (int i = 0; i < 16; ++i)
      out[i] = i < valid ? bfloatToFloat(from[i]) : 0.0f;
  }
};

// Weights 16 * group … of a row as bfloat16 pairs, zeros where there are fewer than `valid`.
template <int Type>
__device__ inline void decodeGroup(const uint8_t *start, int group, int valid, uint32_t (&pairs)[8]) {
  float values[16];
  Weights<Type>::floats(start, group, valid, values);
#pragma unroll
  for (int i = 0; i < 8; ++i)
    pairs[i] = valid > 0 ? pack<Bfloat>(values[2 * i], values[2 * i + 1]) : 0;
}

} // namespace kt
