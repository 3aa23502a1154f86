// Scalar model of the panel arithmetic: what the panel path of the x86-64 kernels multiplies.
//
// Over every 256 elements of k a row has one scale and signed bytes (templates/x64/panel/panel_decoder.h says
// by which rule). The model gives the values those bytes stand for; products and sums are then as everywhere.
// With it a test can tell rounding of the sums (NMSE 1e-6) from the rounding to bytes, which is compared with
// exact weights at a wider bar.
#pragma once

#include "templates/reference/matrix.h"

namespace ktc::reference {

// Values of row `row` of a quantised matrix at `base`, after rounding to a panel.
std::vector<float> panelRow(const Matrix &matrix, const void *base, int64_t row);
// Bytes of q8 row `row` of `k` elements with one scale per 256, and these scales.
void panelActivationBytes(const void *base, int64_t k, int64_t row, std::vector<int8_t> &bytes,
                          std::vector<float> &scales);
// Values of q8 row `row` of `k` elements, after rounding to one scale per 256.
std::vector<float> panelActivations(const void *base, int64_t k, int64_t row);

// True if a matrix with `tokens` tokens is modelled so, `panels` being the parameter of that name: the smallest
// number of tokens for which it is, 0 for none.
inline bool usesPanels(const KtTypeInfo &format, int64_t panels, int64_t tokens) {
  return panels > 0 && tokens >= panels && !ktTypeTakesF32Activations(format.id);
}
// dequantizedRow() or panelRow(), activationValues() or panelActivations().
inline std::vector<float> matrixRow(const Matrix &matrix, const void *base, int64_t row, bool asPanel) {
  return asPanel ? panelRow(matrix, base, row) : dequantizedRow(matrix, base, row);
}
inline std::vector<float> activationRow(const KtTypeInfo &format, const void *base, int64_t k, int64_t row,
                                        bool asPanel) {
  // q8k rows have one scale per 256 already.
  return asPanel && !ktTypeTakesQ8k(format.id) ? panelActivations(base, k, row)
                                               : activationValues(format, base, k, row);
}

} // namespace ktc::reference
