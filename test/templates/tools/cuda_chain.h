// Times a chain of GPU kernels as decode runs them, for kt-cuda.
#pragma once

#include "test/templates/tools/cuda_catalogue.h"
#include "test/templates/tools/cuda_timing.h"

namespace ktc::cuda_timing {

// What is not in the file of the chain.
struct ChainOptions {
  int64_t past = 0;    // positions in the caches of attention before the token
  int64_t layers = 32; // how often the chain stands in the graph, each time with other weights
  int64_t pause = 60;  // microseconds before each, as a layer waits for another lane
};

// Builds one graph of `layers` times (a pause, then all kernels one after the other with the edges that the
// runtime makes), runs it several times and prints, per kernel, medians in microseconds over the layers:
//   gap     from the end of the kernel before to the first block that goes on after its wait
//   work    from there to the end of its last block
//   block   of one block, from its wait to its end
//   late    how much later than the first one the last block went on: above 0.5 there was no room for all
//   ready   how long before that wait ended the last block had done what it does before it (negative: after)
// Operands are made up and belong to one kernel each. Errors: no GPU, unknown sizes, what CUDA says.
kt::Status runChain(const cuda::Compiler &compiler, const std::vector<catalogue::Entry> &entries,
                    const cuda::Target &target, const ChainOptions &options);

} // namespace ktc::cuda_timing
