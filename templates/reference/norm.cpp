// References of the row-wise families: quantize, rms_norm, add and copy_rows.
#include "templates/param_check.h"
#include "templates/reference/cache_row.h"
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

// x += first (+ second), where the last of them is multiplied by sigmoid(gate). Nothing when there is none.
static void addRows(const RmsNormSpec &spec, const KtKernelArgs *args, int64_t token, float *x) {
  for (int64_t add = 0; add < spec.adds; ++add) {
    const float *row = static_cast<const float *>(args->operands[5 + add]) + token * spec.k;
    const bool gated = spec.sigmoidGate && add + 1 == spec.adds;
    const float factor =
        gated ? 1.0f / (1.0f + std::exp(-static_cast<const float *>(args->operands[7])[token])) : 1.0f;
    for (int64_t i = 0; i < spec.k; ++i)
      x[i] += factor * row[i];
  }
}

// With `products`: the products of a normed row.
static void multiplyRow(const RmsNormSpec &spec, const KtKernelArgs *args, int64_t token,
                        const std::vector<float> &row) {
  for (int64_t n = 0; n < spec.products; ++n) {
    const float *weights = static_cast<const float *>(args->operands[8]) + n * spec.k;
    double sum = 0;
    for (int64_t i = 0; i < spec.k; ++i)
      sum += double(weights[i]) * double(row[size_t(i)]);
    static_cast<float *>(args->operands[9])[token * spec.products + n] = static_cast<float>(sum);
  }
}

// Callers of CPU kernels pass four operands; those that know of more name `adds` or `products`.
static KernelFn makeRmsNorm(const Params &params) {
  const bool isGpu = params.contains("adds") || params.contains("products");
  return [spec = readRmsNorm(params), operands = isGpu ? 5 : 4](const KtKernelArgs *args) {
    float *x = static_cast<float *>(args->operands[0]);
    const float *w = static_cast<const float *>(args->operands[1]);
    float *y = static_cast<float *>(args->operands[2]);
    uint8_t *q = static_cast<uint8_t *>(args->operands[3]);
    uint16_t *bfloats = operands > 4 ? static_cast<uint16_t *>(args->operands[4]) : nullptr;
    std::vector<float> result(spec.k);
    if (spec.useRowOffset)
      x += args->step->rowOffset * spec.x.stride;
    forEachUnit(args, spec.x.rows, [&](int64_t token, int64_t row) {
      float *from = x + token * spec.x.stride + row * spec.x.rowStride;
      const int64_t to = token * spec.y.stride + row * spec.y.rowStride;
      addRows(spec, args, token, from);
      normRow(from, spec.k, spec.eps, w, result.data());
      multiplyRow(spec, args, token, result);
      if (y)
        std::copy(result.begin(), result.end(), y + to);
      for (int64_t i = 0; bfloats && i < spec.k; ++i)
        bfloats[to + i] = floatToBfloat(result[i]);
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

static KernelFn makeCopyRows(const Params &params) {
  return [bytes = needInt(params, "bytes", 16)](const KtKernelArgs *args) {
    const char *from = static_cast<const char *>(args->operands[0]);
    char *to = static_cast<char *>(args->operands[1]);
    forEachUnit(args, 1,
                [&](int64_t token, int64_t) { std::copy_n(from + token * bytes, bytes, to + token * bytes); });
  };
}

const Family quantizeFamily = {"quantize", makeQuantize};
const Family rmsNormFamily = {"rms_norm", makeRmsNorm};
const Family addFamily = {"add", makeAdd};
const Family copyRowsFamily = {"copy_rows", makeCopyRows};

} // namespace ktc::reference
