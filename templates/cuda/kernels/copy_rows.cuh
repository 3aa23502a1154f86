// copy_rows: the rows of all tokens from one place to another, between host memory and the GPU's.
//
// What makes a link to the host fast is many whole lines under way: a warp asks for 512 bytes at a time, and
// each thread for four of its words before it stores the first. Only the rows of this replay's tokens move,
// which a copy of the driver in a graph cannot know.
#pragma once

#include "base.cuh"

namespace kt {

// Bytes of a row are a multiple of 16; source and destination are aligned to 16 bytes.
template <int64_t Bytes, int Threads, bool Dynamic, int M> struct CopyRows {
  static constexpr int words = 4; // of 16 bytes, per thread and pass

  static __device__ void run(const KtCudaArgs &args) {
    const uint4 *from = static_cast<const uint4 *>(args.operands[0]);
    uint4 *to = static_cast<uint4 *>(args.operands[1]);
    const int64_t count = tokenCount<Dynamic, M>(args) * (Bytes / 16);
    const int64_t pass = int64_t(gridDim.x) * Threads * words;
    for (int64_t first = int64_t(blockIdx.x) * Threads * words + threadIdx.x; first < count; first += pass) {
      uint4 values[words];
#pragma unroll
      for (int i = 0; i < words; ++i)
        if (first + i * Threads < count)
          values[i] = from[first + i * Threads];
#pragma unroll
      for (int i = 0; i < words; ++i)
        if (first + i * Threads < count)
          to[first + i * Threads] = values[i];
    }
  }
};

} // namespace kt
