// References of the row-wise families: quantize, rms_norm and add.
//
// The quantisation formula here is the definition that generated code reproduces byte for byte, so its order of
// operations matters: one division for the block's scale, one for its inverse, a multiplication per element.
#include "templates/reference/elements.h"
#include "templates/reference/families.h"
#include "templates/specs.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <numeric>
#include <vector>

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

// Quantises k floats (whole groups) into the q8 or q8k row at `row`.
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

} // namespace

static KernelFn makeQuantize(const Params &params) {
  return [spec = readQuantize(params)](const KtKernelArgs *args) {
    const float *x = static_cast<const float *>(args->operands[0]);
    uint8_t *y = static_cast<uint8_t *>(args->operands[1]);
    forEachUnit(args, spec.x.rows, [&](int64_t token, int64_t row) {
      quantizeRow(x + token * spec.x.stride + row * spec.x.rowStride, spec.k, spec.group,
                  y + (token * spec.x.rows + row) * quantizedRowBytes(spec.k, spec.group));
    });
  };
}

static KernelFn makeRmsNorm(const Params &params) {
  return [spec = readRmsNorm(params)](const KtKernelArgs *args) {
    const float *x = static_cast<const float *>(args->operands[0]);
    const float *w = static_cast<const float *>(args->operands[1]);
    float *y = static_cast<float *>(args->operands[2]);
    uint8_t *q = static_cast<uint8_t *>(args->operands[3]);
    std::vector<float> result(spec.k);
    if (spec.useRowOffset)
      x += args->step->rowOffset * spec.x.stride;
    forEachUnit(args, spec.x.rows, [&](int64_t token, int64_t row) {
      const float *from = x + token * spec.x.stride + row * spec.x.rowStride;
      double squares = 0;
      for (int64_t i = 0; i < spec.k; ++i)
        squares += double(from[i]) * from[i];
      float factor = 1.0f / std::sqrt(static_cast<float>(squares / double(spec.k)) + spec.eps);
      for (int64_t i = 0; i < spec.k; ++i)
        result[i] = from[i] * factor * (w ? w[i] : 1.0f);
      if (y)
        std::copy(result.begin(), result.end(), y + token * spec.y.stride + row * spec.y.rowStride);
      if (q && spec.k % 32 == 0) // other rows have no quantised form
        quantizeRow(result.data(), spec.k, spec.group,
                    q + (token * spec.x.rows + row) * quantizedRowBytes(spec.k, spec.group));
    });
  };
}

static KernelFn makeAdd(const Params &params) {
  return [spec = readAdd(params)](const KtKernelArgs *args) {
    const float *x = static_cast<const float *>(args->operands[0]);
    float *y = static_cast<float *>(args->operands[1]);
    const float *gate = static_cast<const float *>(args->operands[2]);
    forEachUnit(args, 1, [&](int64_t token, int64_t) {
      float factor = spec.sigmoidGate ? 1.0f / (1.0f + std::exp(-gate[token])) : 1.0f;
      for (int64_t i = 0; i < spec.k; ++i)
        y[token * spec.yStride + i] += factor * x[token * spec.xStride + i];
    });
  };
}

const Family quantizeFamily = {"quantize", makeQuantize};
const Family rmsNormFamily = {"rms_norm", makeRmsNorm};
const Family addFamily = {"add", makeAdd};

} // namespace ktc::reference
