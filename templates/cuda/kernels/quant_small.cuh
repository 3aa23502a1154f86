// Formats with blocks of 32 weights: element j and j + 16 share a byte where there are nibbles.
//
// Every format gives 16 consecutive weights (a "group", `j` numbers them in a block) as 16 bytes in order, with
// one scale and minimum: weight = scale * (byte - bias) + minimum.
#pragma once

#include "convert.cuh"

namespace kt {

struct Group {
  uint32_t bytes[4]; // 16 unsigned bytes in order
  float scale;
  float minimum; // 0 in formats without
};

template <int Type> struct Format;

// What lanes c = 0..3 of a tensor-core fragment do with a unit of 4 blocks: one block each.
template <int Bytes, int Bias, bool HasMinimum> struct SmallBlocks {
  static constexpr int blockBytes = Bytes, blockElements = 32, unitElements = 128, groupsPerLane = 2;
  static constexpr int bias = Bias;
  static constexpr bool hasMinimum = HasMinimum;
  static constexpr int align = Bytes % 8 == 0 ? 8 : Bytes % 4 == 0 ? 4 : Bytes % 2 == 0 ? 2 : 1;
  // Group `i` of lane `c` in a unit.
  static __device__ int laneGroup(int c, int i) { return 2 * c + i; }
};

template <int Align> __device__ inline void readNibbles(const uint8_t *p, int j, Group &group) {
  readWords<Align>(p, group.bytes);
#pragma unroll
  for (int i = 0; i < 4; ++i)
    group.bytes[i] = group.bytes[i] >> (4 * j) & 0x0f0f0f0f;
}

// Adds bit i of `bits` as bit 4 of byte i.
__device__ inline void addFifthBits(uint32_t bits, Group &group) {
#pragma unroll
  for (int i = 0; i < 4; ++i)
    group.bytes[i] |= (bits >> (4 * i) & 15) * 0x02040810u & 0x10101010u;
}

// Replaces nibbles (each in a byte of its own) by entries of a table of 16 bytes, given as four words.
__device__ inline void lookUp(uint32_t t0, uint32_t t1, uint32_t t2, uint32_t t3, Group &group) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const uint32_t q = group.bytes[i];
    // The nibbles side by side, as __byte_perm wants its selectors.
    const uint32_t packed = __byte_perm(q | q >> 4, 0, 0x4420);
    const uint32_t index = packed & 0x7777;
    const uint32_t low = __byte_perm(t0, t1, index), high = __byte_perm(t2, t3, index);
    group.bytes[i] = __byte_perm(low, high, 0x3210 | (packed & 0x8888) >> 1);
  }
}
// Table of iq4_nl and iq4_xs, plus 128.
__device__ inline void lookUpIq4(Group &group) {
  lookUp(0x3f2d1801, 0x766a5d4f, 0xa6998d81, 0xf1d9c5b5, group);
}

template <> struct Format<2> : SmallBlocks<18, 8, false> { // q4_0
  static __device__ Group read(const uint8_t *block, int j) {
    Group group;
    readNibbles<2>(block + 2, j, group);
    group.scale = halfToFloat(readHalf<2>(block));
    group.minimum = 0;
    return group;
  }
};

template <> struct Format<3> : SmallBlocks<20, 0, true> { // q4_1
  static __device__ Group read(const uint8_t *block, int j) {
    Group group;
    readNibbles<4>(block + 4, j, group);
    group.scale = halfToFloat(readHalf<2>(block));
    group.minimum = halfToFloat(readHalf<2>(block + 2));
    return group;
  }
};

template <> struct Format<6> : SmallBlocks<22, 16, false> { // q5_0
  static __device__ Group read(const uint8_t *block, int j) {
    Group group;
    readNibbles<2>(block + 6, j, group);
    addFifthBits(readHalf<2>(block + 2 + 2 * j), group);
    group.scale = halfToFloat(readHalf<2>(block));
    group.minimum = 0;
    return group;
  }
};

template <> struct Format<7> : SmallBlocks<24, 0, true> { // q5_1
  static __device__ Group read(const uint8_t *block, int j) {
    Group group;
    readNibbles<8>(block + 8, j, group);
    addFifthBits(readHalf<2>(block + 4 + 2 * j), group);
    group.scale = halfToFloat(readHalf<2>(block));
    group.minimum = halfToFloat(readHalf<2>(block + 2));
    return group;
  }
};

template <> struct Format<8> : SmallBlocks<34, 128, false> { // q8_0
  static __device__ Group read(const uint8_t *block, int j) {
    Group group;
    readWords<2>(block + 2 + 16 * j, group.bytes);
#pragma unroll
    for (int i = 0; i < 4; ++i)
      group.bytes[i] ^= 0x80808080u;
    group.scale = halfToFloat(readHalf<2>(block));
    group.minimum = 0;
    return group;
  }
};

template <> struct Format<20> : SmallBlocks<18, 128, false> { // iq4_nl
  static __device__ Group read(const uint8_t *block, int j) {
    Group group;
    readNibbles<2>(block + 2, j, group);
    lookUpIq4(group);
    group.scale = halfToFloat(readHalf<2>(block));
    group.minimum = 0;
    return group;
  }
};

template <> struct Format<39> : SmallBlocks<17, 128, false> { // mxfp4: E2M1 doubled, scale 2^(e - 128)
  static __device__ Group read(const uint8_t *block, int j) {
    Group group;
    readNibbles<1>(block + 1, j, group);
    lookUp(0x83828180, 0x8c888684, 0x7d7e7f80, 0x74787a7c, group);
    const uint32_t e = block[0];
    group.scale = __uint_as_float(e < 2 ? 0x00200000u << e : (e - 1) << 23);
    group.minimum = 0;
    return group;
  }
};

} // namespace kt
