// Dot products of weight rows with activation rows, shared by the matrix families' references.
#pragma once

#include "runtime/abi/kt_abi.h"

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

// Work units of a matrix with `n` rows.
inline int64_t unitsOf(int64_t n) { return (n + KT_ROWS_PER_UNIT - 1) / KT_ROWS_PER_UNIT; }

} // namespace ktc::reference
