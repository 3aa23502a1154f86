// linear_group: several products of the same activations in one launch; each has its blocks, in the order of
// the parts here.
#pragma once

#include "linear.cuh"

namespace kt {

// A product with its number of blocks; Body is a LinearStream without batches.
template <int Blocks, class Body> struct GroupPart {
  static constexpr int blocks = Blocks;
  // Both: true if `block` was one of this part; otherwise it counts from the next part on.
  static __device__ bool prefetch(const KtCudaArgs &args, int &block) {
    if (block >= Blocks) {
      block -= Blocks;
      return false;
    }
    Body::prefetchBlock(args, block, 0);
    return true;
  }
  static __device__ bool take(const KtCudaArgs &args, int &block) {
    if (block >= Blocks) {
      block -= Blocks;
      return false;
    }
    Body::runBlock(args, block, 0);
    return true;
  }
};

template <class... Parts> struct LinearGroup {
  static __device__ void prefetch(const KtCudaArgs &args) {
    int block = blockIdx.x;
    (void)(Parts::prefetch(args, block) || ...);
  }
  static __device__ void run(const KtCudaArgs &args) {
    int block = blockIdx.x;
    (void)(Parts::take(args, block) || ...);
  }
};

} // namespace kt
