// References of the row-wise families: quantize, rms_norm and add.
#include "templates/reference/elements.h"
#include "templates/reference/families.h"
#include "templates/reference/quantize_row.h"
#include "templates/specs.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace ktc::reference {

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
