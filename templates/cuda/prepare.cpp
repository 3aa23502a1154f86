// Instances of `gqa_prepare` and `mla_prepare`: see kernels/prepare.cuh.
#include "templates/cuda/linear.h"
#include "templates/cuda/row_families.h"
#include "templates/param_check.h"

#include <algorithm>

namespace ktc::cuda {
namespace {

// Blocks of all tokens; every token has `perToken`.
uint32_t tokenBlocks(int64_t m, int64_t perToken) {
  if (m > int64_t(0x7fffffff) / perToken)
    throw ParamError("parameter 'm' is too large for " + std::to_string(perToken) + " blocks per token");
  return static_cast<uint32_t>(m * perToken);
}

Instance makeGqaPrepare(const Params &params, Sm) {
  const GqaPrepareSpec spec = readGqaPrepare(params);
  const int64_t m = optionalInt(params, "m", 1, 1, maxTokensPerReplay);
  if (std::max(spec.headDim, spec.vDim) > 1024)
    throw ParamError("parameters 'head_dim' and 'v_dim' must be at most 1024 on a GPU");
  constexpr int64_t warps = 4;
  const int64_t blocks = (spec.heads + 2 * spec.kvHeads + warps - 1) / warps;
  const std::string body =
      typeName("GqaPrepare", {spec.heads, spec.kvHeads, spec.headDim, spec.vDim, spec.qStride, spec.kStride,
                              spec.vStride, cacheTypeName(spec.type), spec.norm, spec.eps, spec.dims, spec.neox,
                              warps, flag(params, "dynamic"), m});
  return {kernelSource("prepare.cuh", body, warps * 32), {tokenBlocks(m, blocks), 1, 1, warps * 32, 0}};
}

// The products of the absorbed queries as a batched `linear` of x = q.
LinearSpec absorbedSpec(const MlaPrepareSpec &spec, int64_t m) {
  LinearSpec product;
  product.matrix.n = spec.latent, product.matrix.k = spec.nope, product.matrix.m = m;
  product.format = spec.absorb;
  product.batch = spec.heads, product.wBatchRows = spec.latent;
  product.xStride = spec.qStride, product.xBatchStride = spec.qRowStride;
  product.matrix.yBfloat = spec.bfloatY;
  product.yBatchStride = spec.latent + (spec.bfloatY ? spec.rope : 0);
  product.yStride = spec.heads * product.yBatchStride;
  return product;
}

Instance makeMlaPrepare(const Params &params, Sm sm) {
  const MlaPrepareSpec spec = readMlaPrepare(params);
  const int64_t m = optionalInt(params, "m", 1, 1, maxTokensPerReplay);
  if (spec.latent > 2048 || spec.rope > 1024)
    throw ParamError("parameters 'latent' and 'rope' must be at most 2048 and 1024 on a GPU");
  const bool dynamic = flag(params, "dynamic");
  const auto prepareText = [&](int64_t warps) {
    return typeName("MlaPrepare", {spec.heads, spec.latent, spec.rope, spec.eps, spec.neox, spec.nope,
                                   spec.qStride, spec.qRowStride, spec.kvStride, cacheTypeName(spec.type),
                                   spec.bfloatY, warps, dynamic, m});
  };
  const auto blocksOf = [&](int64_t warps) {
    return tokenBlocks(1, (m * (spec.heads + 1) + warps - 1) / warps);
  };
  if (!spec.absorb) {
    constexpr int64_t warps = 4;
    return {kernelSource("prepare.cuh", prepareText(warps), warps * 32),
            {blocksOf(warps), 1, 1, warps * 32, 0}};
  }
  const LinearSpec product = absorbedSpec(spec, m);
  if (dynamic || !product.matrix.streams() || spec.absorb->id == KT_TYPE_F32)
    throw ParamError("parameter 'format' needs a static kernel of at most " + std::to_string(mostStreamTokens) +
                     " tokens, and weights of another format than f32");
  const StreamText stream = streamProduct(product, 2, sm);
  const uint32_t first = blocksOf(stream.launch.threads / 32);
  const std::string body =
      (TemplateText("MlaPrepareAbsorb") << "kt::" + prepareText(stream.launch.threads / 32) << first
                                        << "kt::" + stream.body << stream.launch.gridX)
          .str();
  return {kernelSource("prepare.cuh", body, stream.launch.threads, stream.shape.blocksPerSm),
          {first + stream.launch.gridX * stream.launch.gridY, 1, 1, stream.launch.threads,
           stream.launch.sharedBytes}};
}

} // namespace

const Family gqaPrepareFamily = {"gqa_prepare", makeGqaPrepare};
const Family mlaPrepareFamily = {"mla_prepare", makeMlaPrepare};

} // namespace ktc::cuda
