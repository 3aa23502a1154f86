// References of rope and kv_store: what happens to queries and keys between projection and attention.
#include "templates/reference/elements.h"
#include "templates/reference/families.h"
#include "templates/specs.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

namespace ktc::reference {

static KernelFn makeRope(const Params &params) {
  return [spec = readRope(params)](const KtKernelArgs *args) {
    float *x = static_cast<float *>(args->operands[0]);
    const float *table = static_cast<const float *>(args->operands[1]);
    const int32_t *positions = static_cast<const int32_t *>(args->operands[2]);
    int64_t half = spec.dims / 2;
    forEachUnit(args, spec.x.rows, [&](int64_t token, int64_t row) {
      float *at = x + token * spec.x.stride + row * spec.x.rowStride;
      const float *angles = table + positions[token] * spec.dims;
      for (int64_t i = 0; i < half; ++i) {
        float &first = spec.neox ? at[i] : at[2 * i];
        float &second = spec.neox ? at[i + half] : at[2 * i + 1];
        float cosine = angles[2 * i], sine = angles[2 * i + 1];
        float rotated = first * cosine - second * sine;
        second = first * sine + second * cosine;
        first = rotated;
      }
    });
  };
}

// A block of q8_0: d = max|x| / 127 as float16, q = x * min(127 / max|x|, FLT_MAX) rounded to nearest even. A
// NaN does not count as the largest and becomes the lowest value.
static void storeQ8Block(const float *x, uint8_t *block) {
  float largest = 0;
  for (int i = 0; i < 32; ++i)
    largest = std::max(largest, std::fabs(x[i]));
  const uint16_t d = floatToHalf(largest / 127.0f);
  const float inverse = std::min(127.0f / largest, FLT_MAX);
  std::memcpy(block, &d, 2);
  for (int i = 0; i < 32; ++i) {
    const float q = std::nearbyint(x[i] * inverse);
    block[2 + i] = static_cast<uint8_t>(static_cast<int8_t>(std::fabs(q) <= 127.0f ? q : -128.0f));
  }
}

static KernelFn makeKvStore(const Params &params) {
  return [spec = readKvStore(params)](const KtKernelArgs *args) {
    const float *x = static_cast<const float *>(args->operands[0]);
    const int32_t *positions = static_cast<const int32_t *>(args->operands[2]);
    forEachUnit(args, 1, [&](int64_t token, int64_t) {
      if (spec.type == KT_TYPE_Q8_0) {
        uint8_t *row =
            static_cast<uint8_t *>(args->operands[1]) + positions[token] * (spec.cacheStride / 32 * 34);
        for (int64_t i = 0; i < spec.width; i += 32)
          storeQ8Block(x + token * spec.stride + i, row + i / 32 * 34);
        return;
      }
      for (int64_t i = 0; i < spec.width; ++i)
        storeElement(spec.type, args->operands[1], positions[token] * spec.cacheStride + i,
                     x[token * spec.stride + i]);
    });
  };
}

const Family ropeFamily = {"rope", makeRope};
const Family kvStoreFamily = {"kv_store", makeKvStore};

} // namespace ktc::reference
