// Instances of `copy_rows`: see kernels/copy_rows.cuh.
#include "templates/cuda/families.h"
#include "templates/param_check.h"

#include <algorithm>

namespace ktc::cuda {

static Instance makeCopyRows(const Params &params, Sm) {
  constexpr int64_t threads = 256, passBytes = threads * 4 * 16;
  constexpr int64_t mostBlocks = 256; // 4 MB under way, and most SMs have room for other kernels
  const int64_t bytes = needInt(params, "bytes", 16, int64_t(1) << 32);
  if (bytes % 16 != 0)
    throw ParamError("parameter 'bytes' must be a multiple of 16, found " + std::to_string(bytes));
  const int64_t m = needInt(params, "m", 1, maxTokensPerReplay);
  const int64_t arguments[] = {bytes, threads, flag(params, "dynamic"), m};
  const int64_t blocks = std::clamp<int64_t>((m * bytes + passBytes - 1) / passBytes, 1, mostBlocks);
  return {kernelSource("copy_rows.cuh", templateName("CopyRows", arguments), threads, 2),
          {static_cast<uint32_t>(blocks), 1, 1, threads, 0}};
}

const Family copyRowsFamily = {"copy_rows", makeCopyRows};

} // namespace ktc::cuda
