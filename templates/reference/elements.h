// Small pieces shared by the references: cache elements of 16 or 32 bits, the token of a unit.
#pragma once

#include "runtime/abi/kt_abi.h"
#include "templates/reference/half.h"

#include <cstddef>
#include <cstdint>

namespace ktc::reference {

// Element `index` of an array of type f16, bf16, f32 or q8_0.
inline float loadElement(KtType type, const void *base, size_t index) {
  if (type == KT_TYPE_Q8_0) {
    const uint8_t *block = static_cast<const uint8_t *>(base) + index / 32 * 34;
    return halfToFloat(static_cast<uint16_t>(block[0] | block[1] << 8)) *
           static_cast<float>(static_cast<int8_t>(block[2 + index % 32]));
  }
  if (type == KT_TYPE_F32)
    return static_cast<const float *>(base)[index];
  uint16_t bits = static_cast<const uint16_t *>(base)[index];
  return type == KT_TYPE_F16 ? halfToFloat(bits) : bfloatToFloat(bits);
}

// Stores `value` rounded to nearest even as element `index` of an array of type f16, bf16 or f32.
inline void storeElement(KtType type, void *base, size_t index, float value) {
  if (type == KT_TYPE_F32)
    static_cast<float *>(base)[index] = value;
  else
    static_cast<uint16_t *>(base)[index] = type == KT_TYPE_F16 ? floatToHalf(value) : floatToBfloat(value);
}

// Calls body(token, row) for every unit of the call, where a token has `rows` units.
template <typename Body> void forEachUnit(const KtKernelArgs *args, int64_t rows, Body body) {
  for (uint32_t unit = args->unitBegin; unit < args->unitEnd; ++unit)
    body(static_cast<int64_t>(unit) / rows, static_cast<int64_t>(unit) % rows);
}

} // namespace ktc::reference
