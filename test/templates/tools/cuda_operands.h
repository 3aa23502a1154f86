// Operands of GPU kernels for timing: how large they are, and what must be in them.
#pragma once

#include "test/templates/kernel_case.h"
#include "test/templates/tools/cuda_timing.h"

namespace ktc::cuda_timing {

struct TimedOperand {
  uint64_t bytes = 0;    // 0: absent
  uint64_t streamed = 0; // of them read from memory in every launch: weights (of active experts) and caches
  test::Bytes content;   // what it begins with; empty: anything
};

// The operands of products, attention, norms, what prepares attention and router_topk; of other families only
// those that `sizes` names. Routed tokens choose experts at random, each a different set.
std::vector<TimedOperand> timedOperands(const std::string &family, const Params &params, const Sizes &sizes);

} // namespace ktc::cuda_timing
