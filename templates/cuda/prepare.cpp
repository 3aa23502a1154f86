// Instances of `gqa_prepare` and `mla_prepare`: see kernels/prepare.cuh.
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

Instance makeMlaPrepare(const Params &params, Sm) {
  const MlaPrepareSpec spec = readMlaPrepare(params);
  const int64_t m = optionalInt(params, "m", 1, 1, maxTokensPerReplay);
  constexpr int64_t threads = 256;
  const int64_t blocks = 1 + (spec.heads * (spec.rope / 2) + threads - 1) / threads;
  const std::string body = typeName(
      "MlaPrepare", {spec.heads, spec.latent, spec.rope, spec.eps, spec.neox, spec.qStride, spec.qRowStride,
                     spec.kvStride, cacheTypeName(spec.type), threads, blocks, flag(params, "dynamic"), m});
  return {kernelSource("prepare.cuh", body, threads), {tokenBlocks(m, blocks), 1, 1, threads, 0}};
}

} // namespace

const Family gqaPrepareFamily = {"gqa_prepare", makeGqaPrepare};
const Family mlaPrepareFamily = {"mla_prepare", makeMlaPrepare};

} // namespace ktc::cuda
