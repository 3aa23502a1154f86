// Encoders into every weight format: see encode.h.
#include "test/templates/support/encode.h"

#include "runtime/abi/kt_abi.h"
#include "templates/reference/half.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

namespace ktc::test {

using reference::floatToBfloat;
using reference::floatToHalf;
using reference::halfToFloat;

namespace {

constexpr int8_t iq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
constexpr int8_t fp4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// Stores `value` as a half and returns what was stored.
float putHalf(uint8_t *dst, float value) {
  uint16_t half = floatToHalf(value);
  std::memcpy(dst, &half, 2);
  return halfToFloat(half);
}

int quantized(float value, float scale, int low, int high) {
  if (scale == 0)
    return std::clamp(0, low, high);
  return std::clamp(static_cast<int>(std::lrint(value / scale)), low, high);
}

float largest(const float *x, int count) {
  float magnitude = 0;
  for (int i = 0; i < count; ++i)
    magnitude = std::max(magnitude, std::fabs(x[i]));
  return magnitude;
}

int nearest(const int8_t (&table)[16], float value) {
  int best = 0;
  for (int i = 1; i < 16; ++i)
    if (std::fabs(value - table[i]) < std::fabs(value - table[best]))
      best = i;
  return best;
}

void putNibble(uint8_t *qs, int i, int value) {
  qs[i % 16] |= static_cast<uint8_t>(i < 16 ? value : value << 4);
}

// Q4_0, Q4_1, Q5_0, Q5_1.
void encodeNibbles(uint8_t *b, const float *x, int bits, bool hasMinimum) {
  const int top = (1 << bits) - 1;
  float low = *std::min_element(x, x + 32), high = *std::max_element(x, x + 32);
  float d = putHalf(b, hasMinimum ? (high - low) / static_cast<float>(top)
                                  : largest(x, 32) / static_cast<float>(top / 2));
  float minimum = hasMinimum ? putHalf(b + 2, low) : -d * static_cast<float>((top + 1) / 2);
  uint8_t *high5 = b + (hasMinimum ? 4 : 2), *qs = high5 + (bits == 5 ? 4 : 0);
  for (int i = 0; i < 32; ++i) {
    int q = quantized(x[i] - minimum, d, 0, top);
    putNibble(qs, i, q & 15);
    if (q & 16)
      high5[i / 8] |= static_cast<uint8_t>(1 << i % 8);
  }
}

void encodeQ8_0(uint8_t *b, const float *x) {
  float d = putHalf(b, largest(x, 32) / 127);
  for (int i = 0; i < 32; ++i)
    b[2 + i] = static_cast<uint8_t>(quantized(x[i], d, -127, 127));
}

void encodeIQ4_NL(uint8_t *b, const float *x) {
  float d = putHalf(b, largest(x, 32) / 113);
  for (int i = 0; i < 32; ++i)
    putNibble(b + 2, i, nearest(iq4Values, d ? x[i] / d : 0));
}

void encodeMXFP4(uint8_t *b, const float *x) {
  float top = largest(x, 32);
  int exponent = top > 0 ? std::clamp(static_cast<int>(std::floor(std::log2(top))) - 2, -120, 120) : -120;
  b[0] = static_cast<uint8_t>(exponent + 127);
  for (int i = 0; i < 32; ++i)
    putNibble(b + 1, i, nearest(fp4Values, x[i] / std::ldexp(0.5f, exponent)));
}

// Scales and minima of sub-blocks of `width` weights as integers up to `limit`, with their common factors.
struct SubScales {
  int scale[16], minimum[16];
  float d, dmin;
};

SubScales affineScales(uint8_t *dAt, uint8_t *dminAt, const float *x, int width, int top, int limit) {
  float scales[16] = {}, minima[16] = {};
  const int count = 256 / width;
  for (int s = 0; s < count; ++s) {
    const float *sub = x + s * width;
    float low = std::min(0.0f, *std::min_element(sub, sub + width));
    float high = std::max(low, *std::max_element(sub, sub + width));
    scales[s] = (high - low) / static_cast<float>(top);
    minima[s] = -low;
  }
  SubScales result = {};
  result.d = putHalf(dAt, largest(scales, count) / static_cast<float>(limit));
  result.dmin = putHalf(dminAt, largest(minima, count) / static_cast<float>(limit));
  for (int s = 0; s < count; ++s) {
    result.scale[s] = quantized(scales[s], result.d, 0, limit);
    result.minimum[s] = quantized(minima[s], result.dmin, 0, limit);
  }
  return result;
}

SubScales symmetricScales(uint8_t *dAt, const float *x, int top, int limit) {
  float scales[16] = {};
  for (int s = 0; s < 16; ++s)
    scales[s] = largest(x + 16 * s, 16) / static_cast<float>(top);
  SubScales result = {};
  result.d = putHalf(dAt, largest(scales, 16) / static_cast<float>(limit));
  for (int s = 0; s < 16; ++s)
    result.scale[s] = quantized(scales[s], result.d, 0, limit);
  return result;
}

void encodeQ45_K(uint8_t *b, const float *x, int bits) {
  const int top = (1 << bits) - 1;
  SubScales sub = affineScales(b, b + 2, x, 32, top, 63);
  uint8_t *s = b + 4, *high = b + 16, *qs = b + (bits == 5 ? 48 : 16);
  for (int j = 0; j < 8; ++j) {
    if (j < 4) {
      s[j] |= static_cast<uint8_t>(sub.scale[j]);
      s[j + 4] |= static_cast<uint8_t>(sub.minimum[j]);
    } else {
      s[j + 4] = static_cast<uint8_t>((sub.scale[j] & 15) | (sub.minimum[j] & 15) << 4);
      s[j - 4] |= static_cast<uint8_t>(sub.scale[j] >> 4 << 6);
      s[j] |= static_cast<uint8_t>(sub.minimum[j] >> 4 << 6);
    }
  }
  for (int i = 0; i < 256; ++i) {
    int j = i / 32;
    int q = quantized(x[i] + sub.dmin * sub.minimum[j], sub.d * sub.scale[j], 0, top);
    qs[i / 64 * 32 + i % 32] |= static_cast<uint8_t>((q & 15) << j % 2 * 4);
    if (q & 16)
      high[i % 32] |= static_cast<uint8_t>(1 << j);
  }
}

void putTwoBits(uint8_t *qs, int i, int value) {
  qs[i / 128 * 32 + i % 32] |= static_cast<uint8_t>(value << i % 128 / 32 * 2);
}

void encodeQ2_K(uint8_t *b, const float *x) {
  SubScales sub = affineScales(b + 80, b + 82, x, 16, 3, 15);
  for (int i = 0; i < 256; ++i) {
    int j = i / 16;
    b[j] = static_cast<uint8_t>(sub.scale[j] | sub.minimum[j] << 4);
    putTwoBits(b + 16, i, quantized(x[i] + sub.dmin * sub.minimum[j], sub.d * sub.scale[j], 0, 3));
  }
}

void encodeQ3_K(uint8_t *b, const float *x) {
  SubScales sub = symmetricScales(b + 108, x, 4, 31);
  for (int j = 0; j < 16; ++j) {
    int biased = sub.scale[j] + 32;
    b[96 + j % 8] |= static_cast<uint8_t>((biased & 15) << j / 8 * 4);
    b[104 + j % 4] |= static_cast<uint8_t>(biased >> 4 << j / 4 * 2);
  }
  for (int i = 0; i < 256; ++i) {
    int q = quantized(x[i], sub.d * sub.scale[i / 16], -4, 3) + 4;
    putTwoBits(b + 32, i, q & 3);
    if (q & 4)
      b[i % 32] |= static_cast<uint8_t>(1 << i / 32);
  }
}

void encodeQ6_K(uint8_t *b, const float *x) {
  SubScales sub = symmetricScales(b + 208, x, 32, 127);
  for (int i = 0; i < 256; ++i) {
    int part = i / 128, plane = i % 128 / 32;
    b[192 + i / 16] = static_cast<uint8_t>(sub.scale[i / 16]);
    int q = quantized(x[i], sub.d * sub.scale[i / 16], -32, 31) + 32;
    b[part * 64 + i % 64] |= static_cast<uint8_t>((q & 15) << plane / 2 * 4);
    b[128 + part * 32 + i % 32] |= static_cast<uint8_t>(q >> 4 << plane * 2);
  }
}

void encodeIQ4_XS(uint8_t *b, const float *x) {
  float scales[8];
  for (int j = 0; j < 8; ++j)
    scales[j] = largest(x + 32 * j, 32) / 113;
  float d = putHalf(b, largest(scales, 8) / 31);
  for (int j = 0; j < 8; ++j) {
    int scale = quantized(scales[j], d, 0, 31), biased = scale + 32;
    b[4 + j / 2] |= static_cast<uint8_t>((biased & 15) << j % 2 * 4);
    b[2 + j / 4] |= static_cast<uint8_t>(biased >> 4 << j % 4 * 2);
    float step = d * static_cast<float>(scale);
    for (int i = 0; i < 32; ++i)
      putNibble(b + 8 + 16 * j, i, nearest(iq4Values, step ? x[32 * j + i] / step : 0));
  }
}

void encodeBlock(uint32_t type, uint8_t *b, const float *x) {
  uint16_t word;
  switch (type) {
  case KT_TYPE_F32:
    std::memcpy(b, x, 4);
    return;
  case KT_TYPE_F16:
  case KT_TYPE_BF16:
    word = type == KT_TYPE_F16 ? floatToHalf(*x) : floatToBfloat(*x);
    std::memcpy(b, &word, 2);
    return;
  case KT_TYPE_Q4_0:
    return encodeNibbles(b, x, 4, false);
  case KT_TYPE_Q4_1:
    return encodeNibbles(b, x, 4, true);
  case KT_TYPE_Q5_0:
    return encodeNibbles(b, x, 5, false);
  case KT_TYPE_Q5_1:
    return encodeNibbles(b, x, 5, true);
  case KT_TYPE_Q8_0:
    return encodeQ8_0(b, x);
  case KT_TYPE_Q2_K:
    return encodeQ2_K(b, x);
  case KT_TYPE_Q3_K:
    return encodeQ3_K(b, x);
  case KT_TYPE_Q4_K:
    return encodeQ45_K(b, x, 4);
  case KT_TYPE_Q5_K:
    return encodeQ45_K(b, x, 5);
  case KT_TYPE_Q6_K:
    return encodeQ6_K(b, x);
  case KT_TYPE_IQ4_NL:
    return encodeIQ4_NL(b, x);
  case KT_TYPE_IQ4_XS:
    return encodeIQ4_XS(b, x);
  case KT_TYPE_MXFP4:
    return encodeMXFP4(b, x);
  }
}

// Offsets of half-precision fields in a block.
std::vector<int> halfFields(uint32_t type) {
  switch (type) {
  case KT_TYPE_Q4_1:
  case KT_TYPE_Q5_1:
  case KT_TYPE_Q4_K:
  case KT_TYPE_Q5_K:
    return {0, 2};
  case KT_TYPE_Q2_K:
    return {80, 82};
  case KT_TYPE_Q3_K:
    return {108};
  case KT_TYPE_Q6_K:
    return {208};
  case KT_TYPE_MXFP4:
  case KT_TYPE_F32:
  case KT_TYPE_BF16:
    return {};
  default:
    return {0};
  }
}

} // namespace

std::vector<uint8_t> encode(uint32_t type, const std::vector<float> &values) {
  const KtTypeInfo *info = ktTypeInfo(type);
  std::vector<uint8_t> bytes(values.size() / info->blockElements * info->blockBytes);
  for (size_t block = 0; block < values.size() / info->blockElements; ++block)
    encodeBlock(type, bytes.data() + block * info->blockBytes, values.data() + block * info->blockElements);
  return bytes;
}

std::vector<uint8_t> hostileBlocks(uint32_t type, size_t elements, uint32_t seed) {
  const KtTypeInfo *info = ktTypeInfo(type);
  std::vector<uint8_t> bytes(elements / info->blockElements * info->blockBytes);
  std::mt19937 random(seed);
  for (uint8_t &byte : bytes)
    byte = static_cast<uint8_t>(random() % 8 == 0 ? 0x80 : random());
  for (size_t start = 0; start < bytes.size(); start += info->blockBytes) {
    uint8_t *block = bytes.data() + start;
    float scale = (static_cast<float>(random() % 2001) - 1000.0f) / 1000.0f;
    for (int field : halfFields(type))
      putHalf(block + field, scale * 0.01f);
    if (type == KT_TYPE_MXFP4)
      block[0] = static_cast<uint8_t>(120 + random() % 8);
    if (type == KT_TYPE_F32)
      std::memcpy(block, &scale, 4);
    if (type == KT_TYPE_BF16) {
      uint16_t word = floatToBfloat(scale);
      std::memcpy(block, &word, 2);
    }
  }
  return bytes;
}

std::vector<uint8_t> encodeQ8(const std::vector<float> &values, size_t k) {
  const size_t rows = values.size() / k;
  std::vector<uint8_t> bytes(rows * ktQ8RowBytes(k));
  for (size_t row = 0; row < rows; ++row) {
    const float *x = values.data() + row * k;
    uint8_t *out = bytes.data() + row * ktQ8RowBytes(k);
    std::vector<float> d(k / 32), s(k / 16);
    for (size_t block = 0; block < k / 32; ++block)
      d[block] = largest(x + 32 * block, 32) / 127;
    for (size_t i = 0; i < k; ++i) {
      int q = quantized(x[i], d[i / 32], -127, 127);
      out[i] = static_cast<uint8_t>(q);
      s[i / 16] += d[i / 32] * static_cast<float>(q);
    }
    std::memcpy(out + ktQ8ScaleOffset(k), d.data(), d.size() * 4);
    std::memcpy(out + ktQ8SumOffset(k), s.data(), s.size() * 4);
  }
  return bytes;
}

std::vector<uint8_t> encodeQ8k(const std::vector<float> &values, size_t k) {
  const size_t rows = values.size() / k;
  std::vector<uint8_t> bytes(rows * ktQ8kRowBytes(k));
  for (size_t row = 0; row < rows; ++row) {
    const float *x = values.data() + row * k;
    uint8_t *out = bytes.data() + row * ktQ8kRowBytes(k);
    std::vector<float> d(k / 256);
    std::vector<int16_t> s(k / 16);
    for (size_t block = 0; block < k / 256; ++block)
      d[block] = largest(x + 256 * block, 256) / 127;
    for (size_t i = 0; i < k; ++i) {
      int q = quantized(x[i], d[i / 256], -127, 127);
      out[i] = static_cast<uint8_t>(q);
      s[i / 16] = static_cast<int16_t>(s[i / 16] + q);
    }
    std::memcpy(out + ktQ8kSumOffset(k), s.data(), s.size() * 2);
    std::memcpy(out + ktQ8kScaleOffset(k), d.data(), d.size() * 4);
  }
  return bytes;
}

} // namespace ktc::test
