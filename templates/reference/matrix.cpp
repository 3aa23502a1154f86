// Dot products of weight rows with activation rows: see matrix.h.
#include "templates/reference/matrix.h"

#include "templates/param_check.h"
#include "templates/reference/half.h"
#include "templates/reference/reference.h"
#include "templates/specs.h"

namespace ktc::reference {

std::vector<float> dequantizedRow(const Matrix &matrix, const void *base, int64_t row) {
  std::vector<float> values(matrix.k);
  dequantize(matrix.format->id, static_cast<const uint8_t *>(base) + row * matrix.rowBytes(), values.data(),
             values.size());
  return values;
}

std::vector<float> activationValues(const KtTypeInfo &format, const void *base, int64_t k, int64_t row) {
  const bool isQ8k = ktTypeTakesQ8k(format.id);
  const size_t group = isQ8k ? 256 : 32;
  const char *start = static_cast<const char *>(base) + row * (isQ8k ? ktQ8kRowBytes(k) : ktQ8RowBytes(k));
  const int8_t *q = reinterpret_cast<const int8_t *>(start);
  const float *d = reinterpret_cast<const float *>(start + (isQ8k ? ktQ8kScaleOffset(k) : ktQ8ScaleOffset(k)));
  std::vector<float> values(k);
  for (int64_t i = 0; i < k; ++i)
    values[i] = d[i / group] * static_cast<float>(q[i]);
  return values;
}

double dot(const std::vector<float> &weights, const float *x) {
  double sum = 0;
  for (size_t i = 0; i < weights.size(); ++i)
    sum += static_cast<double>(weights[i]) * x[i];
  return sum;
}

GpuTypes readGpuTypes(const Params &params) {
  GpuTypes types;
  types.isUsed = params.find("x_type") != params.end();
  types.xBfloat = isBfloat(params, "x_type");
  types.yBfloat = isBfloat(params, "y_type");
  types.keepsIntegers = !flag(params, "dynamic") && intParam(params, "m", 0) <= mostStreamTokens;
  return types;
}

static float gpuRounded(const GpuTypes &types, const Matrix &matrix, float value) {
  return types.keepsFloat && matrix.format->id == KT_TYPE_F32 ? value : bfloatToFloat(floatToBfloat(value));
}

std::vector<float> gpuRow(const GpuTypes &types, const Matrix &matrix, const void *weights, int64_t row) {
  std::vector<float> values = dequantizedRow(matrix, weights, row);
  if (types.keepsIntegers && groupsPerScale(matrix.format->id) != 0)
    return values;
  for (float &value : values)
    value = gpuRounded(types, matrix, value);
  return values;
}

double gpuDot(const GpuTypes &types, const Matrix &matrix, const std::vector<float> &weights, const void *base,
              int64_t x) {
  double sum = 0;
  for (int64_t i = 0; i < matrix.k; ++i) {
    const float activation = types.xBfloat ? bfloatToFloat(static_cast<const uint16_t *>(base)[x + i])
                                           : static_cast<const float *>(base)[x + i];
    sum += double(weights[i]) * gpuRounded(types, matrix, activation);
  }
  return sum;
}

void storeResult(const GpuTypes &types, void *base, int64_t index, double value) {
  if (types.yBfloat)
    static_cast<uint16_t *>(base)[index] = floatToBfloat(static_cast<float>(value));
  else
    static_cast<float *>(base)[index] = static_cast<float>(value);
}

} // namespace ktc::reference
