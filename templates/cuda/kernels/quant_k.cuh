// Formats with blocks of 256 weights: sixteen groups of 16 with scales (and minima) of their own.
#pragma once

#include "quant_small.cuh"

namespace kt {

// A unit is one block; each of the lanes c = 0..3 takes four groups that lie in the same bytes. Planes: groups
// h, h + 2, h + 4, h + 6 of one half of the block do, else the four groups of a quarter.
template <int Bytes, int Bias, bool HasMinimum, bool Planes> struct BigBlocks {
  static constexpr int blockBytes = Bytes, blockElements = 256, unitElements = 256, groupsPerLane = 4;
  static constexpr int bias = Bias;
  static constexpr bool hasMinimum = HasMinimum;
  static constexpr int align = Bytes % 16 == 0 ? 16 : Bytes % 8 == 0 ? 8 : Bytes % 4 == 0 ? 4 : 2;
  static __device__ int laneGroup(int c, int i) { return Planes ? c / 2 * 8 + c % 2 + 2 * i : 4 * c + i; }
};

// Two-bit elements of q2_k and q3_k: 128 elements share 32 bytes.
template <int Align> __device__ inline void readTwoBits(const uint8_t *qs, int j, Group &group) {
  readWords<Align>(qs + j / 8 * 32 + j % 2 * 16, group.bytes);
#pragma unroll
  for (int i = 0; i < 4; ++i)
    group.bytes[i] = group.bytes[i] >> (j % 8 / 2 * 2) & 0x03030303;
}

template <> struct Format<10> : BigBlocks<84, 0, true, true> { // q2_k
  static __device__ Group read(const uint8_t *block, int j) {
    Group group;
    readTwoBits<4>(block + 16, j, group);
    const uint32_t scale = block[j];
    group.scale = halfToFloat(readHalf<4>(block + 80)) * static_cast<float>(scale & 15);
    group.minimum = -halfToFloat(readHalf<2>(block + 82)) * static_cast<float>(scale >> 4);
    return group;
  }
};

template <> struct Format<11> : BigBlocks<110, 4, false, true> { // q3_k
  static __device__ Group read(const uint8_t *block, int j) {
    Group group;
    readTwoBits<2>(block + 32, j, group);
    uint32_t high[4];
    readWords<2>(block + j % 2 * 16, high);
#pragma unroll
    for (int i = 0; i < 4; ++i)
      group.bytes[i] |= (high[i] >> (j / 2) & 0x01010101) << 2;
    // Low nibbles of the scales in bytes 0-7, their high two bits in bytes 8-11.
    const uint32_t low = block[96 + j % 8] >> (j / 8 * 4) & 15, top = block[104 + j % 4] >> (j / 4 * 2) & 3;
    group.scale =
        halfToFloat(readHalf<2>(block + 108)) * static_cast<float>(static_cast<int>(low | top << 4) - 32);
    group.minimum = 0;
    return group;
  }
};

// Header of q4_k and q5_k: d and dmin, then eight 6-bit scales and minima in 12 bytes; `s` = 0..7 chooses them.
__device__ inline void readScaleAndMinimum(const uint8_t *block, int s, Group &group) {
  uint32_t header[4];
  readWords<16>(block, header);
  const int shift = s % 4 * 8;
  const uint32_t a = header[1] >> shift & 255, b = header[2] >> shift & 255, both = header[3] >> shift & 255;
  const uint32_t scale = s < 4 ? a & 63 : (both & 15) | a >> 6 << 4;
  const uint32_t minimum = s < 4 ? b & 63 : both >> 4 | b >> 6 << 4;
  group.scale = halfToFloat(header[0] & 0xffff) * static_cast<float>(scale);
  group.minimum = -halfToFloat(header[0] >> 16) * static_cast<float>(minimum);
}

template <> struct Format<12> : BigBlocks<144, 0, true, false> { // q4_k
  static __device__ Group read(const uint8_t *block, int j) {
    Group group;
    readWords<16>(block + 16 + j / 4 * 32 + j % 2 * 16, group.bytes);
#pragma unroll
    for (int i = 0; i < 4; ++i)
      group.bytes[i] = group.bytes[i] >> (j / 2 % 2 * 4) & 0x0f0f0f0f;
    readScaleAndMinimum(block, j / 2, group);
    return group;
  }
};

template <> struct Format<13> : BigBlocks<176, 0, true, false> { // q5_k
  static __device__ Group read(const uint8_t *block, int j) {
    Group group;
    uint32_t high[4];
    readWords<16>(block + 48 + j / 4 * 32 + j % 2 * 16, group.bytes);
    readWords<16>(block + 16 + j % 2 * 16, high);
#pragma unroll
    for (int i = 0; i < 4; ++i)
      group.bytes[i] = (group.bytes[i] >> (j / 2 % 2 * 4) & 0x0f0f0f0f) | (high[i] >> (j / 2) & 0x01010101)
                                                                              << 4;
    readScaleAndMinimum(block, j / 2, group);
    return group;
  }
};

template <> struct Format<14> : BigBlocks<210, 32, false, true> { // q6_k
  static __device__ Group read(const uint8_t *block, int j) {
    Group group;
    uint32_t high[4];
    const int part = j / 8, plane = j % 8 / 2, side = j % 2 * 16;
    readWords<2>(block + part * 64 + plane % 2 * 32 + side, group.bytes);
    readWords<2>(block + 128 + part * 32 + side, high);
#pragma unroll
    for (int i = 0; i < 4; ++i)
      group.bytes[i] = (group.bytes[i] >> (plane / 2 * 4) & 0x0f0f0f0f) | (high[i] >> (plane * 2) & 0x03030303)
                                                                              << 4;
    group.scale =
        halfToFloat(readHalf<2>(block + 208)) * static_cast<float>(static_cast<signed char>(block[192 + j]));
    group.minimum = 0;
    return group;
  }
};

template <> struct Format<23> : BigBlocks<136, 128, false, false> { // iq4_xs
  static __device__ Group read(const uint8_t *block, int j) {
    Group group;
    const int s = j / 2;
    readNibbles<8>(block + 8 + s * 16, j % 2, group);
    lookUpIq4(group);
    const uint32_t low = block[4 + s / 2] >> (s % 2 * 4) & 15, top = readHalf<2>(block + 2) >> (s * 2) & 3;
    group.scale = halfToFloat(readHalf<2>(block)) * static_cast<float>(static_cast<int>(low | top << 4) - 32);
    group.minimum = 0;
    return group;
  }
};

} // namespace kt
