// Weights of every format, 16 at a time, as pairs of bfloat16 or as float32, from global or shared memory.
//
// `Weights<Type>` (Type: GGUF id, kt_types.h) is what matrix kernels see. A unit is what the four lanes c =
// 0..3 that share a row of a tensor-core fragment decode together: 256 weights of K-quants, 128 of others. Lane
// c takes the groups laneGroup(c, 0..groupsPerLane - 1) of 16 weights each. `valid` is how many weights of a
// group there are, for formats without blocks; the others have whole groups.
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

  // Exact but for one rounding.
  static __device__ void floats(const uint8_t *start, int group, int, float (&out)[16]) {
    const Group read = readGroup(start, group);
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      const float q = static_cast<float>(static_cast<int>(read.bytes[i / 4] >> (i % 4 * 8) & 255) - Base::bias);
      out[i] = fmaf(q, read.scale, read.minimum);
    }
  }

  // A byte in the mantissa of a float needs one instruction, and one more makes a weight of it: 2 + q / 64
  // where q < 128, else 1 + q / 32768.
  static __device__ void pairs(const uint8_t *start, int group, int, uint32_t (&out)[8]) {
    constexpr bool isWide = Base::bias >= 128;
    constexpr float unit = isWide ? 32768.0f : 64.0f, one = isWide ? 32768.0f : 128.0f;
    constexpr uint32_t pattern = isWide ? 0x3f800000u : 0x40000000u, place = isWide ? 0x7604 : 0x7044;
    constexpr uint32_t step = isWide ? 0x10 : 0x100;
    const Group read = readGroup(start, group);
    const float factor = read.scale * unit;
    const float constant = fmaf(read.scale, -(one + static_cast<float>(Base::bias)), read.minimum);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float values[4];
#pragma unroll
      for (uint32_t j = 0; j < 4; ++j)
        values[j] =
            fmaf(__uint_as_float(__byte_perm(read.bytes[i], pattern, place + j * step)), factor, constant);
      out[2 * i] = pack<Bfloat>(values[0], values[1]);
      out[2 * i + 1] = pack<Bfloat>(values[2], values[3]);
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

// Those of them that are rounded to bfloat16.
template <int Type, int Bytes> struct RoundedWeights : PlainWeights<Bytes> {
  static __device__ void pairs(const uint8_t *start, int group, int valid, uint32_t (&out)[8]) {
    float values[16];
    Weights<Type>::floats(start, group, valid, values);
#pragma unroll
    for (int i = 0; i < 8; ++i)
      out[i] = pack<Bfloat>(values[2 * i], values[2 * i + 1]);
  }
};

template <> struct Weights<0> : RoundedWeights<0, 4> { // f32
  static __device__ void floats(const uint8_t *start, int group, int valid, float (&out)[16]) {
    const float *from = reinterpret_cast<const float *>(start) + group * 16;
#pragma unroll
    for (int i = 0; i < 16; ++i)
      out[i] = i < valid ? from[i] : 0.0f;
  }
};

// f16 and bf16: 16 elements as words, missing ones 0.
__device__ inline void readHalves(const uint8_t *start, int group, int valid, uint32_t (&words)[8]) {
  const uint8_t *from = start + group * 32;
  if (valid >= 16) {
    readWords<2>(from, words);
    return;
  }
  const uint16_t *halves = reinterpret_cast<const uint16_t *>(from);
#pragma unroll
  for (int i = 0; i < 8; ++i)
    words[i] = (2 * i < valid ? halves[2 * i] : 0) | uint32_t(2 * i + 1 < valid ? halves[2 * i + 1] : 0) << 16;
}

template <> struct Weights<1> : RoundedWeights<1, 2> { // f16
  static __device__ void floats(const uint8_t *start, int group, int valid, float (&out)[16]) {
    uint32_t words[8];
    readHalves(start, group, valid, words);
#pragma unroll
    for (int i = 0; i < 8; ++i)
      out[2 * i] = halfToFloat(static_cast<uint16_t>(words[i])),
              out[2 * i + 1] = halfToFloat(static_cast<uint16_t>(words[i] >> 16));
  }
};

template <> struct Weights<30> : PlainWeights<2> { // bf16
  static __device__ void pairs(const uint8_t *start, int group, int valid, uint32_t (&out)[8]) {
    readHalves(start, group, valid, out);
  }
  static __device__ void floats(const uint8_t *start, int group, int valid, float (&out)[16]) {
    uint32_t words[8];
    readHalves(start, group, valid, words);
#pragma unroll
    for (int i = 0; i < 8; ++i)
      out[2 * i] = __uint_as_float(words[i] << 16), out[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
  }
};

// Weights 16 * group … of a row as bfloat16 pairs, zeros where there are none.
template <int Type>
__device__ inline void decodeGroup(const uint8_t *start, int group, int valid, uint32_t (&pairs)[8]) {
  Weights<Type>::pairs(start, group, valid, pairs);
#pragma unroll
  for (int i = 0; i < 8; ++i)
    pairs[i] = valid > 0 ? pairs[i] : 0;
}

} // namespace kt
