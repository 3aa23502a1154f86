// linear_group: several products of the same activations in one launch; each has its blocks, in the order of
// the parts here.
#pragma once

#include "linear.cuh"

namespace kt {

// A product with its number of blocks; Body is a LinearStream without batches.
template <int Blocks, class Body> struct GroupPart {
  static constexpr int blocks = Blocks;
  // True if `block` was one of this part, with which `act(body, block)` was done; otherwise it counts from the
  // next part on.
  template <class Act> static __device__ bool take(int &block, Act act) {
    if (block >= Blocks) {
      block -= Blocks;
      return false;
    }
    act(Body(), block);
    return true;
  }
};

template <class... Parts> struct LinearGroup {
  static __device__ void prefetch(const KtCudaArgs &args) {
    forBlock([&](auto body, int block) { decltype(body)::prefetchBlock(args, block, 0); });
  }
  static __device__ void run(const KtCudaArgs &args) {
    forBlock([&](auto body, int block) { decltype(body)::runBlock(args, block, 0); });
  }

private:
  template <class Act> static __device__ void forBlock(Act act) {
    int block = blockIdx.x;
    (void)(Parts::take(block, act) || ...);
  }
};

} // namespace kt
