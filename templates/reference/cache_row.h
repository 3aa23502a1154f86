// What happens to one row between projection and attention, for the families that do it alone (rope, kv_store)
// and those that do all of it (gqa_prepare, mla_prepare).
#pragma once

#include "runtime/abi/kt_types.h"

#include <cstdint>

namespace ktc::reference {

// Rotates `dims` elements in place by the angles [dims / 2][cos, sin]; pairs are (i, i + dims / 2) with `neox`,
// else (2i, 2i + 1).
void rotateRow(float *row, int64_t dims, const float *angles, bool neox);

// y = x / sqrt(mean(x^2) + eps) * w; `w` may be null (= 1), y may be x.
void normRow(const float *x, int64_t k, float eps, const float *w, float *y);

// Stores `width` elements in a cache of `type`, beginning at element `index` (whole blocks).
void storeRow(const float *x, int64_t width, KtType type, void *cache, int64_t index);

} // namespace ktc::reference
