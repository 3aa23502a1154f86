// Rows on their way to attention: see cache_row.h.
#include "templates/reference/cache_row.h"

#include "templates/reference/elements.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

namespace ktc::reference {

void rotateRow(float *row, int64_t dims, const float *angles, bool neox) {
  const int64_t half = dims / 2;
  for (int64_t i = 0; i < half; ++i) {
    float &first = neox ? row[i] : row[2 * i];
    float &second = neox ? row[i + half] : row[2 * i + 1];
    float cosine = angles[2 * i], sine = angles[2 * i + 1];
    float rotated = first * cosine - second * sine;
    second = first * sine + second * cosine;
    first = rotated;
  }
}

void normRow(const float *x, int64_t k, float eps, const float *w, float *y) {
  double squares = 0;
  for (int64_t i = 0; i < k; ++i)
    squares += double(x[i]) * x[i];
  float factor = 1.0f / std::sqrt(static_cast<float>(squares / double(k)) + eps);
  for (int64_t i = 0; i < k; ++i)
    y[i] = x[i] * factor * (w ? w[i] : 1.0f);
}

// A block of q8_0: d = max|x| / 127 as float16, q = x * min(127 / max|x|, FLT_MAX) rounded to nearest even. A
// NaN does not count as the largest and becomes the lowest value.
static void storeQ8Block(const float *x, uint8_t *block) {
  float largest = 0;
  for (int i = 0; i < 32; ++i)
    largest = std::max(largest, std::fabs(x[i]));
  const uint16_t d = floatToHalf(largest / 127.0f);
  const float inverse = std::min(127.0f / largest, FLT_MAX);
  std::memcpy(block, &d, 2);
  for (int i = 0; i < 32; ++i) {
    const float q = std::nearbyint(x[i] * inverse);
    block[2 + i] = static_cast<uint8_t>(static_cast<int8_t>(std::fabs(q) <= 127.0f ? q : -128.0f));
  }
}

void storeRow(const float *x, int64_t width, KtType type, void *cache, int64_t index) {
  if (type == KT_TYPE_Q8_0) {
    for (int64_t i = 0; i < width; i += 32)
      storeQ8Block(x + i, static_cast<uint8_t *>(cache) + (index + i) / 32 * 34);
    return;
  }
  for (int64_t i = 0; i < width; ++i)
    storeElement(type, cache, index + i, x[i]);
}

} // namespace ktc::reference
