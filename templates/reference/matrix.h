// Dot products of weight rows with activation rows, shared by the matrix families' references.
#pragma once

#include "runtime/abi/kt_abi.h"
#include "templates/params.h"

#include <cstdint>
#include <vector>

namespace ktc::reference {

// Weights of one matrix: rows of `k` elements of `type`, one after the other.
struct Matrix {
  const KtTypeInfo *format = nullptr;
  int64_t k = 0;
  int64_t rowBytes() const { return k / format->blockElements * format->blockBytes; }
};

// Float32 values of row `row` of `matrix` stored at `base`.
std::vector<float> dequantizedRow(const Matrix &matrix, const void *base, int64_t row);
// Float32 values of row `row` of `k` quantised activations, q8 or q8k as a matrix of `format` takes them.
std::vector<float> activationValues(const KtTypeInfo &format, const void *base, int64_t k, int64_t row);
// Dot product in double precision.
double dot(const std::vector<float> &weights, const float *x);

// The arithmetic of GPU kernels, those with parameters `x_type` and `y_type`: rows of activations are float32
// or bfloat16 for every format, weights and activations are rounded to bfloat16, and results to what they are
// stored as.
struct GpuTypes {
  bool isUsed = false; // the kernel has an x_type
  bool xBfloat = false, yBfloat = false;
  // Weights of float32 that stay so, with activations as they are.
  bool keepsFloat = false;
  // Weights of formats with groupsPerScale() are not rounded: kernels for few tokens.
  bool keepsIntegers = false;
};
GpuTypes readGpuTypes(const Params &params);
// Values of row `row` of `matrix` as GPU kernels multiply them.
std::vector<float> gpuRow(const GpuTypes &types, const Matrix &matrix, const void *weights, int64_t row);
// Dot product of such values with the activations from element `x` of `base` on.
double gpuDot(const GpuTypes &types, const Matrix &matrix, const std::vector<float> &weights, const void *base,
              int64_t x);
// Element `index` of results stored as float32 or bfloat16.
void storeResult(const GpuTypes &types, void *base, int64_t index, double value);

// Work units of a matrix with `n` rows.
inline int64_t unitsOf(int64_t n) { return (n + KT_ROWS_PER_UNIT - 1) / KT_ROWS_PER_UNIT; }

} // namespace ktc::reference
