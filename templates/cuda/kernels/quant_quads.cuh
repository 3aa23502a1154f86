// Weights as small integers, four at a time: for products whose scales are applied to sums instead of weights.
//
// `Quads<Type>::read(block, j, c)` gives elements 4c … 4c + 3 of group j of a block (quant_small.cuh) as the
// bytes that Format<Type>::read gives, all below 128; `groupsPerScale` groups have one scale and minimum.
// Formats without
// (`exists` is false) have values that are no such integers.
#pragma once

#include "quant.cuh"

namespace kt {

template <int Type> struct Quads {
  static constexpr bool exists = false;
  static constexpr int groupsPerScale = 1;
};
template <int GroupsPerScale> struct QuadsOf {
  static constexpr bool exists = true;
  static constexpr int groupsPerScale = GroupsPerScale;
};

template <int Align> __device__ inline uint32_t readWord(const uint8_t *p) {
  uint32_t word[1];
  readWords<Align>(p, word);
  return word[0];
}
template <int Align> __device__ inline uint32_t nibbleQuad(const uint8_t *nibbles, int j, int c) {
  return readWord<Align>(nibbles + 4 * c) >> (4 * j) & 0x0f0f0f0f;
}
// Bit i of the low four as bit 4 of byte i.
__device__ inline uint32_t fifthBits(uint32_t bits) { return (bits & 15) * 0x02040810u & 0x10101010u; }

template <> struct Quads<2> : QuadsOf<2> { // q4_0
  static __device__ uint32_t read(const uint8_t *block, int j, int c) { return nibbleQuad<2>(block + 2, j, c); }
};
template <> struct Quads<3> : QuadsOf<2> { // q4_1
  static __device__ uint32_t read(const uint8_t *block, int j, int c) { return nibbleQuad<4>(block + 4, j, c); }
};
template <> struct Quads<6> : QuadsOf<2> { // q5_0
  static __device__ uint32_t read(const uint8_t *block, int j, int c) {
    return nibbleQuad<2>(block + 6, j, c) | fifthBits(readHalf<2>(block + 2 + 2 * j) >> (4 * c));
  }
};
template <> struct Quads<7> : QuadsOf<2> { // q5_1
  static __device__ uint32_t read(const uint8_t *block, int j, int c) {
    return nibbleQuad<4>(block + 8, j, c) | fifthBits(readHalf<2>(block + 4 + 2 * j) >> (4 * c));
  }
};
template <> struct Quads<10> : QuadsOf<1> { // q2_k
  static __device__ uint32_t read(const uint8_t *block, int j, int c) {
    return readWord<4>(block + 16 + j / 8 * 32 + j % 2 * 16 + 4 * c) >> (j % 8 / 2 * 2) & 0x03030303;
  }
};
template <> struct Quads<11> : QuadsOf<1> { // q3_k
  static __device__ uint32_t read(const uint8_t *block, int j, int c) {
    const uint32_t low =
        readWord<2>(block + 32 + j / 8 * 32 + j % 2 * 16 + 4 * c) >> (j % 8 / 2 * 2) & 0x03030303;
    return low | (readWord<2>(block + j % 2 * 16 + 4 * c) >> (j / 2) & 0x01010101) << 2;
  }
};
template <> struct Quads<12> : QuadsOf<2> { // q4_k
  static __device__ uint32_t read(const uint8_t *block, int j, int c) {
    return nibbleQuad<4>(block + 16 + j / 4 * 32 + j % 2 * 16, j / 2 % 2, c);
  }
};
template <> struct Quads<13> : QuadsOf<2> { // q5_k
  static __device__ uint32_t read(const uint8_t *block, int j, int c) {
    const uint32_t high = readWord<4>(block + 16 + j % 2 * 16 + 4 * c) >> (j / 2) & 0x01010101;
    return nibbleQuad<4>(block + 48 + j / 4 * 32 + j % 2 * 16, j / 2 % 2, c) | high << 4;
  }
};
template <> struct Quads<14> : QuadsOf<1> { // q6_k
  static __device__ uint32_t read(const uint8_t *block, int j, int c) {
    const int part = j / 8, plane = j % 8 / 2, side = j % 2 * 16;
    const uint32_t high = readWord<2>(block + 128 + part * 32 + side + 4 * c) >> (plane * 2) & 0x03030303;
    return nibbleQuad<2>(block + part * 64 + plane % 2 * 32 + side, plane / 2, c) | high << 4;
  }
};

} // namespace kt
