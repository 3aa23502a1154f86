// Quantised activation rows: see quantize_row.h.
#include "templates/reference/quantize_row.h"

#include "runtime/abi/kt_abi.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <numeric>

namespace ktc::reference {
namespace {

// Round to nearest even with the saturation of the vector instructions: NaN and overflow become the lowest
// value.
int8_t roundToInt8(float value) {
  if (!(std::fabs(value) < 2147483648.0f))
    return -128;
  return static_cast<int8_t>(std::clamp(std::nearbyint(value), -128.0f, 127.0f));
}

// Quantises `count` floats to q with one scale; returns the scale.
float quantizeGroup(const float *x, size_t count, int8_t *q) {
  float largest = 0;
  for (size_t i = 0; i < count; ++i)
    largest = std::max(largest, std::fabs(x[i]));
  // Finite even when the division overflows (tiny or zero blocks), so that 0 * inverse stays 0.
  float inverse = std::min(127.0f / largest, FLT_MAX);
  for (size_t i = 0; i < count; ++i)
    q[i] = roundToInt8(x[i] * inverse);
  return largest / 127.0f;
}

} // namespace

void quantizeRow(const float *x, size_t k, size_t group, uint8_t *row) {
  int8_t *q = reinterpret_cast<int8_t *>(row);
  float *scales = reinterpret_cast<float *>(row + (group == 32 ? ktQ8ScaleOffset(k) : ktQ8kScaleOffset(k)));
  float *floatSums = reinterpret_cast<float *>(row + ktQ8SumOffset(k));
  int16_t *sums = reinterpret_cast<int16_t *>(row + ktQ8kSumOffset(k));
  for (size_t i = 0; i < k; i += group)
    scales[i / group] = quantizeGroup(x + i, group, q + i);
  for (size_t i = 0; i < k / 16; ++i) {
    const int32_t sum = std::accumulate(q + 16 * i, q + 16 * i + 16, int32_t(0));
    if (group == 32)
      floatSums[i] = scales[i / 2] * static_cast<float>(sum);
    else
      sums[i] = static_cast<int16_t>(sum);
  }
}

} // namespace ktc::reference
