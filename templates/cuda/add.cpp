// Instances of `add`: see kernels/add.cuh.
#include "templates/cuda/families.h"
#include "templates/param_check.h"
#include "templates/specs.h"

#include <algorithm>

namespace ktc::cuda {

static Instance makeAdd(const Params &params, Sm) {
  const AddSpec spec = readAdd(params);
  const int64_t m = needInt(params, "m", 1, maxTokensPerReplay);
  const int64_t arguments[] = {spec.k, spec.xStride, spec.yStride, spec.sigmoidGate, flag(params, "dynamic"),
                               m};
  const uint32_t threads = static_cast<uint32_t>(std::clamp<int64_t>((spec.k + 127) / 128 * 32, 32, 512));
  return {kernelSource("add.cuh", templateName("Add", arguments), threads),
          {static_cast<uint32_t>(m), 1, 1, threads, 0}};
}

const Family addFamily = {"add", makeAdd};

} // namespace ktc::cuda
