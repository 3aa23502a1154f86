// Times a GPU kernel on made-up operands, for kt-cuda.
#pragma once

#include "compiler/schedule-to-kernels/cuda/compiler.h"

#include <map>

namespace ktc::cuda_timing {

// What the parameters of a kernel do not say.
struct Sizes {
  int64_t past = 0;                    // positions in the caches of attention before the tokens
  std::map<size_t, uint64_t> operands; // bytes by number; wins over what is known of the family
};

// Launches the kernel often enough on the GPU at hand, with copies of its weights (or caches) that together
// exceed the L2 cache, so that each launch reads them from memory. Prints the mean time between launches, the
// mean time from the first block's start to the last one's end, and the rate at which weights are read. Errors:
// no GPU, unknown sizes, what CUDA says.
kt::Status run(const std::string &family, const Params &params, const Sizes &sizes,
               const cuda::GpuKernel &kernel);

} // namespace ktc::cuda_timing
