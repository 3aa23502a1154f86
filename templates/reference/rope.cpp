// References of rope and kv_store: what happens to queries and keys between projection and attention.
#include "templates/reference/cache_row.h"
#include "templates/reference/elements.h"
#include "templates/reference/families.h"
#include "templates/specs.h"

namespace ktc::reference {

static KernelFn makeRope(const Params &params) {
  return [spec = readRope(params)](const KtKernelArgs *args) {
    float *x = static_cast<float *>(args->operands[0]);
    const float *table = static_cast<const float *>(args->operands[1]);
    const int32_t *positions = static_cast<const int32_t *>(args->operands[2]);
    forEachUnit(args, spec.x.rows, [&](int64_t token, int64_t row) {
      rotateRow(x + token * spec.x.stride + row * spec.x.rowStride, spec.dims,
                table + positions[token] * spec.dims, spec.neox);
    });
  };
}

static KernelFn makeKvStore(const Params &params) {
  return [spec = readKvStore(params)](const KtKernelArgs *args) {
    const float *x = static_cast<const float *>(args->operands[0]);
    const int32_t *positions = static_cast<const int32_t *>(args->operands[2]);
    forEachUnit(args, 1, [&](int64_t token, int64_t) {
      storeRow(x + token * spec.stride, spec.width, spec.type, args->operands[1],
               positions[token] * spec.cacheStride);
    });
  };
}

const Family ropeFamily = {"rope", makeRope};
const Family kvStoreFamily = {"kv_store", makeKvStore};

} // namespace ktc::reference
