// The largest logits of one token, as a plan's head picks them out on a GPU: what a sampler needs in most cases
// instead of all of them.
#pragma once

#include <cstdint>
#include <span>

namespace ktrt {

// All others come after the last of these: their logits are smaller, or equal with a higher id.
struct BestLogits {
  std::span<const int32_t> ids;  // best first, lower id first of equals; empty: not known
  std::span<const float> logits; // of these
  float sum = 0;                 // of exp(logit - logits[0]) over the vocabulary, within 1e-5
  uint32_t vocabulary = 0;
};

} // namespace ktrt
