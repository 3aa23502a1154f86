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

// Quantises k floats (a multiple of 32) into the q8 row at `row`.
void quantizeRow(const float *x, size_t k, uint8_t *row) {
  int8_t *q = reinterpret_cast<int8_t *>(row);
  float *scales = reinterpret_cast<float *>(row + ktQ8ScaleOffset(k));
  float *sums = reinterpret_cast<float *>(row + ktQ8SumOffset(k));
  for (size_t block = 0; block < k; block += 32) {
    float largest = 0;
    for (size_t i = 0; i < 32; ++i)
      largest = std::max(largest, std::fabs(x[block + i]));
    float d = largest / 127.0f;
    // Finite even when the division overflows (tiny or zero blocks), so that 0 * inverse stays 0.
    float inverse = std::min(127.0f / largest, FLT_MAX);
    scales[block / 32] = d;
    for (size_t half = 0; half < 32; half += 16) {
      int32_t sum = 0;
      for (size_t i = block + half; i < block + half + 16; ++i) {
        q[i] = roundToInt8(x[i] * inverse);
        sum += q[i];
      }
      sums[(block + half) / 16] = d * static_cast<float>(sum);
    }
  }
}

} // namespace

static KernelFn makeQuantize(const Params &params) {
  return [spec = readQuantize(params)](const KtKernelArgs *args) {
    const float *x = static_cast<const float *>(args->operands[0]);
    uint8_t *y = static_cast<uint8_t *>(args->operands[1]);
    forEachUnit(args, spec.x.rows, [&](int64_t token, int64_t row) {
      quantizeRow(x + token * spec.x.stride + row * spec.x.rowStride, spec.k,
                  y + (token * spec.x.rows + row) * ktQ8RowBytes(spec.k));
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
      if (q && spec.k % 32 == 0) // other rows have no q8 form
        quantizeRow(result.data(), spec.k, q + (token * spec.x.rows + row) * ktQ8RowBytes(spec.k));
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
