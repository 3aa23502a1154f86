// Scalar dequantisation of every weight format: the definition of what the blocks mean.
//
// One function per format turns one block into float32. Layouts are those of GGUF files: nibble formats with
// blocks of 32 keep elements j and j + 16 in one byte; K-quants keep groups of 32 in bit planes of the same
// bytes.
#include "templates/reference/half.h"
#include "templates/reference/reference.h"

#include <cstring>

namespace ktc::reference {

static uint16_t word(const uint8_t *p) { return static_cast<uint16_t>(p[0] | p[1] << 8); }
static float half(const uint8_t *p) { return halfToFloat(word(p)); }
static uint32_t dword(const uint8_t *p) { return word(p) | uint32_t(word(p + 2)) << 16; }

static int nibble(const uint8_t *qs, int i) { return i < 16 ? qs[i] & 15 : qs[i - 16] >> 4; }
static int bit(uint32_t bits, int i) { return bits >> i & 1; }

static constexpr int8_t iq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                         1,    13,   25,  38,  53,  69,  89,  113};
// FP4 (E2M1) magnitudes doubled; the scale is halved instead.
static constexpr int8_t fp4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static void blockQ4_0(const uint8_t *b, float *y) {
  for (int i = 0; i < 32; ++i)
    y[i] = half(b) * static_cast<float>(nibble(b + 2, i) - 8);
}

static void blockQ4_1(const uint8_t *b, float *y) {
  for (int i = 0; i < 32; ++i)
    y[i] = half(b) * static_cast<float>(nibble(b + 4, i)) + half(b + 2);
}

static void blockQ5_0(const uint8_t *b, float *y) {
  for (int i = 0; i < 32; ++i)
    y[i] = half(b) * static_cast<float>((nibble(b + 6, i) | bit(dword(b + 2), i) << 4) - 16);
}

static void blockQ5_1(const uint8_t *b, float *y) {
  for (int i = 0; i < 32; ++i)
    y[i] = half(b) * static_cast<float>(nibble(b + 8, i) | bit(dword(b + 4), i) << 4) + half(b + 2);
}

static void blockQ8_0(const uint8_t *b, float *y) {
  for (int i = 0; i < 32; ++i)
    y[i] = half(b) * static_cast<float>(static_cast<int8_t>(b[2 + i]));
}

static void blockIQ4_NL(const uint8_t *b, float *y) {
  for (int i = 0; i < 32; ++i)
    y[i] = half(b) * static_cast<float>(iq4Values[nibble(b + 2, i)]);
}

// 2^(e - 128), denormal for the two smallest e.
static float e8m0Half(uint8_t e) {
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : uint32_t(e - 1) << 23);
}

static void blockMXFP4(const uint8_t *b, float *y) {
  for (int i = 0; i < 32; ++i)
    y[i] = e8m0Half(b[0]) * static_cast<float>(fp4Values[nibble(b + 1, i)]);
}

// Two-bit element i of the planes used by Q2_K and Q3_K: 128 elements share 32 bytes.
static int twoBits(const uint8_t *qs, int i) { return qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3; }

static void blockQ2_K(const uint8_t *b, float *y) {
  float d = half(b + 80), dmin = half(b + 82);
  for (int i = 0; i < 256; ++i) {
    uint8_t scale = b[i / 16];
    y[i] = d * static_cast<float>(scale & 15) * static_cast<float>(twoBits(b + 16, i)) -
           dmin * static_cast<float>(scale >> 4);
  }
}

// Sixteen 6-bit scales in 12 bytes: low nibbles in bytes 0-7, high two bits in bytes 8-11.
static int q3Scale(const uint8_t *s, int j) {
  int low = j < 8 ? s[j] & 15 : s[j - 8] >> 4;
  return (low | (s[8 + j % 4] >> (j / 4 * 2) & 3) << 4) - 32;
}

static void blockQ3_K(const uint8_t *b, float *y) {
  float d = half(b + 108);
  for (int i = 0; i < 256; ++i) {
    int q = (twoBits(b + 32, i) | bit(b[i % 32], i / 32) << 2) - 4;
    y[i] = d * static_cast<float>(q3Scale(b + 96, i / 16)) * static_cast<float>(q);
  }
}

// Eight 6-bit scales and minima in 12 bytes.
static void q4ScaleMin(const uint8_t *s, int j, int &scale, int &min) {
  if (j < 4) {
    scale = s[j] & 63;
    min = s[j + 4] & 63;
  } else {
    scale = (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
    min = s[j + 4] >> 4 | s[j] >> 6 << 4;
  }
}

// Nibble i of the planes used by Q4_K and Q5_K: 64 elements share 32 bytes.
static int planeNibble(const uint8_t *qs, int i) { return qs[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15; }

static void blockQ4_K(const uint8_t *b, float *y) {
  for (int i = 0; i < 256; ++i) {
    int scale, min;
    q4ScaleMin(b + 4, i / 32, scale, min);
    y[i] = half(b) * static_cast<float>(scale) * static_cast<float>(planeNibble(b + 16, i)) -
           half(b + 2) * static_cast<float>(min);
  }
}

static void blockQ5_K(const uint8_t *b, float *y) {
  for (int i = 0; i < 256; ++i) {
    int scale, min;
    q4ScaleMin(b + 4, i / 32, scale, min);
    int q = planeNibble(b + 48, i) | bit(b[16 + i % 32], i / 32) << 4;
    y[i] = half(b) * static_cast<float>(scale) * static_cast<float>(q) - half(b + 2) * static_cast<float>(min);
  }
}

static void blockQ6_K(const uint8_t *b, float *y) {
  float d = half(b + 208);
  for (int i = 0; i < 256; ++i) {
    int part = i / 128, plane = i % 128 / 32;
    int low = b[part * 64 + i % 64] >> (plane / 2 * 4) & 15;
    int high = b[128 + part * 32 + i % 32] >> (plane * 2) & 3;
    int scale = static_cast<int8_t>(b[192 + i / 16]);
    y[i] = d * static_cast<float>(scale) * static_cast<float>((low | high << 4) - 32);
  }
}

static void blockIQ4_XS(const uint8_t *b, float *y) {
  for (int i = 0; i < 256; ++i) {
    int j = i / 32;
    int scale = (b[4 + j / 2] >> (j % 2 * 4) & 15) | (word(b + 2) >> (j * 2) & 3) << 4;
    y[i] = half(b) * static_cast<float>(scale - 32) *
           static_cast<float>(iq4Values[nibble(b + 8 + j * 16, i % 32)]);
  }
}

static void blockF32(const uint8_t *b, float *y) { std::memcpy(y, b, 4); }
static void blockF16(const uint8_t *b, float *y) { *y = half(b); }
static void blockBF16(const uint8_t *b, float *y) { *y = bfloatToFloat(word(b)); }

using BlockFn = void (*)(const uint8_t *, float *);

static BlockFn blockFunction(uint32_t type) {
  switch (type) {
#define KT_CASE(suffix, id, name, elements, bytes)                                                             \
  case id:                                                                                                     \
    return block##suffix;
    KT_FOR_EACH_TYPE(KT_CASE)
#undef KT_CASE
  }
  return nullptr;
}

void dequantize(uint32_t type, const void *src, float *dst, size_t count) {
  BlockFn block = blockFunction(type);
  const KtTypeInfo *info = ktTypeInfo(type);
  if (!block || !info)
    return;
  const uint8_t *bytes = static_cast<const uint8_t *>(src);
  for (size_t i = 0; i < count; i += info->blockElements, bytes += info->blockBytes)
    block(bytes, dst + i);
}

} // namespace ktc::reference
