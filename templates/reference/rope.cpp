// References of rope and kv_store: what happens to queries and keys between projection and attention.
#include "templates/reference/elements.h"
#include "templates/reference/families.h"
#include "templates/specs.h"

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

static KernelFn makeKvStore(const Params &params) {
  return [spec = readKvStore(params)](const KtKernelArgs *args) {
    const float *x = static_cast<const float *>(args->operands[0]);
    const int32_t *positions = static_cast<const int32_t *>(args->operands[2]);
    forEachUnit(args, 1, [&](int64_t token, int64_t) {
      for (int64_t i = 0; i < spec.width; ++i)
        storeElement(spec.type, args->operands[1], positions[token] * spec.cacheStride + i,
                     x[token * spec.stride + i]);
    });
  };
}

const Family ropeFamily = {"rope", makeRope};
const Family kvStoreFamily = {"kv_store", makeKvStore};

} // namespace ktc::reference
