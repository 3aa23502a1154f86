// Instances of `rope` and `kv_store`: see kernels/rope.cuh.
#include "templates/cuda/row_families.h"
#include "templates/param_check.h"

#include <algorithm>

namespace ktc::cuda {
namespace {

Instance makeRope(const Params &params, Sm) {
  const RopeSpec spec = readRope(params);
  const int64_t m = optionalInt(params, "m", 1, 1, maxTokensPerReplay);
  constexpr int64_t threads = 128;
  const int64_t blocksPerToken = (spec.x.rows * (spec.dims / 2) + threads - 1) / threads;
  if (m > int64_t(0x7fffffff) / blocksPerToken)
    throw ParamError("parameter 'm' is too large for " + std::to_string(blocksPerToken) + " blocks per token");
  const std::string body = typeName("Rope", {spec.dims, spec.x.rows, rowPlaces(spec.x), spec.neox, threads,
                                             blocksPerToken, flag(params, "dynamic"), m});
  return {kernelSource("rope.cuh", body, threads),
          {static_cast<uint32_t>(m * blocksPerToken), 1, 1, threads, 0}};
}

Instance makeKvStore(const Params &params, Sm) {
  const KvStoreSpec spec = readKvStore(params);
  const int64_t m = optionalInt(params, "m", 1, 1, maxTokensPerReplay);
  const int64_t threads = std::clamp<int64_t>((spec.width + 63) / 64 * 32, 32, 512);
  const std::string body = typeName("KvStore", {spec.width, spec.stride, cacheTypeName(spec.type),
                                                spec.cacheStride, threads, flag(params, "dynamic"), m});
  return {kernelSource("rope.cuh", body, static_cast<uint32_t>(threads)),
          {static_cast<uint32_t>(m), 1, 1, static_cast<uint32_t>(threads), 0}};
}

} // namespace

const Family ropeFamily = {"rope", makeRope};
const Family kvStoreFamily = {"kv_store", makeKvStore};

} // namespace ktc::cuda
