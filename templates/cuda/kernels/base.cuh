// What every GPU kernel stands on: integer types, the start and end of a kernel (hand-over with other lanes,
// trace), and small wrappers of single PTX instructions.
//
// Plain CUDA C++ without the toolkit's headers: NVRTC compiles it from memory, and nvcc from the tree.
#pragma once

#ifdef __CUDACC_RTC__
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
#else
#include <cstdint>
#endif

#include "runtime/abi/kt_cuda.h"

namespace kt {

// ---- memory that the host or another lane sees
// ----------------------------------------------------------------

__device__ inline uint32_t loadAcquireSystem(const uint32_t *address) {
  uint32_t value;
  asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(value) : "l"(address) : "memory");
  return value;
}
__device__ inline void storeReleaseSystem(uint32_t *address, uint32_t value) {
  asm volatile("st.release.sys.global.u32 [%0], %1;" ::"l"(address), "r"(value) : "memory");
}
__device__ inline uint64_t globalNanos() {
  uint64_t nanos;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(nanos));
  return nanos;
}

// ---- start and end of a kernel
// --------------------------------------------------------------------------------

__device__ inline bool isFirstThread() { return (threadIdx.x | threadIdx.y | threadIdx.z) == 0; }

// Holds the block until the signal it waits for is raised, or too much time has passed.
__device__ inline void beginKernel(const KtCudaArgs &args) {
  if (args.waitFlag) {
    if (isFirstThread()) {
      const uint32_t replay = args.step->replay;
      const uint64_t start = globalNanos();
      // Many blocks would keep the link to the host busy: those but the first look less often.
      const bool isPatient = gridDim.x * gridDim.y * gridDim.z > 32 && (blockIdx.x | blockIdx.y | blockIdx.z) != 0;
      // Each look at a word of the host takes about a microsecond, so that at the error is a rare one.
      for (uint32_t looks = 1; loadAcquireSystem(args.waitFlag) != replay; ++looks) {
        if (isPatient)
          __nanosleep(1000);
        if (looks % 64 != 0)
          continue;
        const uint32_t error = loadAcquireSystem(args.error);
        if (error == 0 && globalNanos() - start < args.timeout)
          continue;
        if (error == 0)
          storeReleaseSystem(args.error, 1 + args.waitSignal);
        break;
      }
    }
    __syncthreads();
  }
  if (args.trace && isFirstThread())
    atomicMin(reinterpret_cast<unsigned long long *>(args.trace), globalNanos());
}

// Raises the signal of the kernel once all its blocks have come here.
__device__ inline void endKernel(const KtCudaArgs &args) {
  if (args.trace && isFirstThread())
    atomicMax(reinterpret_cast<unsigned long long *>(args.trace + 1), globalNanos());
  if (!args.raiseFlag)
    return;
  __threadfence_system(); // every thread's results before the flag
  __syncthreads();
  if (!isFirstThread())
    return;
  const uint32_t blocks = gridDim.x * gridDim.y * gridDim.z;
  if (blocks == 1 || atomicAdd(args.arrivals, 1u) == blocks - 1) {
    if (blocks != 1)
      *args.arrivals = 0;
    __threadfence_system();
    storeReleaseSystem(args.raiseFlag, args.step->replay);
  }
}

// Tokens of this replay, at most the M that the kernel was made for.
template <bool Dynamic, int M> __device__ inline int tokenCount(const KtCudaArgs &args) {
  return Dynamic ? static_cast<int>(args.step->nTokens) : M;
}

// A kernel: Body has `static __device__ void run(const KtCudaArgs &)`, which every thread leaves normally.
template <class Body> __device__ inline void runKernel(const KtCudaArgs &args) {
  beginKernel(args);
  Body::run(args);
  endKernel(args);
}

} // namespace kt
