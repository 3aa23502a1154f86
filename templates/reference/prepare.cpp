// References of gqa_prepare and mla_prepare: norm, rotation and cache append of a token in one go. A unit is a
// token.
#include "templates/reference/cache_row.h"
#include "templates/reference/elements.h"
#include "templates/reference/families.h"
#include "templates/specs.h"

#include <vector>

namespace ktc::reference {

static KernelFn makeGqaPrepare(const Params &params) {
  return [spec = readGqaPrepare(params)](const KtKernelArgs *args) {
    float *q = static_cast<float *>(args->operands[0]);
    const float *k = static_cast<const float *>(args->operands[1]);
    const float *v = static_cast<const float *>(args->operands[2]);
    const float *qNorm = static_cast<const float *>(args->operands[3]);
    const float *kNorm = static_cast<const float *>(args->operands[4]);
    const float *table = static_cast<const float *>(args->operands[5]);
    const int32_t *positions = static_cast<const int32_t *>(args->operands[6]);
    forEachUnit(args, 1, [&](int64_t token, int64_t) {
      const int64_t position = positions[token];
      const auto prepare = [&](float *head, const float *weight) {
        if (spec.norm && weight)
          normRow(head, spec.headDim, spec.eps, weight, head);
        if (spec.dims > 0)
          rotateRow(head, spec.dims, table + position * spec.dims, spec.neox);
      };
      for (int64_t head = 0; head < spec.heads; ++head)
        prepare(q + token * spec.qStride + head * spec.headDim, qNorm);
      for (int64_t head = 0; head < spec.kvHeads; ++head) {
        const float *from = k + token * spec.kStride + head * spec.headDim;
        std::vector<float> key(from, from + spec.headDim);
        prepare(key.data(), kNorm);
        const int64_t row = position * spec.kvHeads + head;
        storeRow(key.data(), spec.headDim, spec.type, args->operands[7], row * spec.headDim);
        storeRow(v + token * spec.vStride + head * spec.vDim, spec.vDim, spec.type, args->operands[8],
                 row * spec.vDim);
      }
    });
  };
}

// The product of absorbed queries as a `linear`; nothing without `format`.
static KernelFn makeAbsorbed(const Params &params, const MlaPrepareSpec &spec) {
  if (!spec.absorb)
    return {};
  const int64_t yRow = spec.latent + (spec.bfloatY ? spec.rope : 0);
  return linearFamily.bind({{"format", stringParam(params, "format", "")},
                            {"n", spec.latent},
                            {"k", spec.nope},
                            {"batch", spec.heads},
                            {"m", intParam(params, "m", 1)},
                            {"x_type", "f32"},
                            {"y_type", stringParam(params, "y_type", "f32")},
                            {"x_stride", spec.qStride},
                            {"x_batch_stride", spec.qRowStride},
                            {"y_stride", spec.heads * yRow},
                            {"y_batch_stride", yRow}});
}

static KernelFn makeMlaPrepare(const Params &params) {
  const MlaPrepareSpec spec = readMlaPrepare(params);
  return [spec, absorbed = makeAbsorbed(params, spec)](const KtKernelArgs *args) {
    float *q = static_cast<float *>(args->operands[0]);
    const float *kv = static_cast<const float *>(args->operands[1]);
    const float *weight = static_cast<const float *>(args->operands[2]);
    const float *table = static_cast<const float *>(args->operands[3]);
    const int32_t *positions = static_cast<const int32_t *>(args->operands[4]);
    forEachUnit(args, 1, [&](int64_t token, int64_t) {
      const int64_t position = positions[token], width = spec.latent + spec.rope;
      const float *angles = table + position * spec.rope;
      for (int64_t head = 0; head < spec.heads; ++head) {
        float *rotary = q + token * spec.qStride + head * spec.qRowStride + spec.nope;
        std::vector<float> rotated(rotary, rotary + spec.rope);
        rotateRow(rotated.data(), spec.rope, angles, spec.neox);
        for (int64_t i = 0; i < spec.rope; ++i)
          if (spec.bfloatY)
            static_cast<uint16_t *>(args->operands[8])[(token * spec.heads + head) * width + spec.latent + i] =
                floatToBfloat(rotated[size_t(i)]);
          else
            rotary[i] = rotated[size_t(i)];
      }
      const float *from = kv + token * spec.kvStride;
      std::vector<float> row(from, from + width);
      normRow(row.data(), spec.latent, spec.eps, weight, row.data());
      rotateRow(row.data() + spec.latent, spec.rope, angles, spec.neox);
      storeRow(row.data(), width, spec.type, args->operands[5], position * width);
    });
    if (!absorbed || args->unitBegin != 0)
      return;
    void *operands[] = {args->operands[0], args->operands[7], args->operands[8], nullptr};
    KtKernelArgs product = *args; // of all tokens, by whoever has the first
    product.operands = operands;
    product.unitEnd =
        static_cast<uint32_t>(spec.heads * ((spec.latent + KT_ROWS_PER_UNIT - 1) / KT_ROWS_PER_UNIT));
    absorbed(&product);
  };
}

const Family gqaPrepareFamily = {"gqa_prepare", makeGqaPrepare};
const Family mlaPrepareFamily = {"mla_prepare", makeMlaPrepare};

} // namespace ktc::reference
