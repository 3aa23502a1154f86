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
// Adds to a word that blocks share, as a release and an acquire among them. Returns what it was.
__device__ inline uint32_t addAcquireRelease(uint32_t *address, uint32_t value) {
  uint32_t before;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;"
               : "=r"(before)
               : "l"(address), "r"(value)
               : "memory");
  return before;
}
__device__ inline uint64_t globalNanos() {
  uint64_t nanos;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(nanos));
  return nanos;
}

// Brings the line of an address of global memory into the second-level cache.
__device__ inline void prefetchLine(const void *address) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(address));
}

// ---- start and end of a kernel
// --------------------------------------------------------------------------------

__device__ inline bool isFirstThread() { return (threadIdx.x | threadIdx.y | threadIdx.z) == 0; }

// From sm_90 on a kernel is launched while those before it still run (plan.fbs, KernelVariant.early_start). Its
// successors may come as soon as all its blocks are there: they find room beside them or wait for it.
__device__ inline void letSuccessorsCome() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
// Returns once the kernels before this one have ended and their results are visible. Every thread of every
// block comes here, so that the end of a kernel is also the end of everything before it.
__device__ inline void awaitPredecessors() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Waits for the signal of a kernel: `replay` in its word.
__device__ inline void awaitSignal(const KtCudaArgs &args, uint32_t replay) {
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
    return;
  }
}

// Holds the block until everything before it is done and the signal it waits for is raised, or too much time
// has passed. Returns, to the first thread, the number of the replay if endKernel needs it.
__device__ inline uint32_t beginKernel(const KtCudaArgs &args) {
  awaitPredecessors();
  uint32_t replay = 0;
  if ((args.waitFlag || args.raiseFlag) && isFirstThread())
    replay = args.step->replay;
  if (args.waitFlag) {
    if (isFirstThread())
      awaitSignal(args, replay);
    __syncthreads();
  }
  if (args.trace && isFirstThread())
    atomicMin(reinterpret_cast<unsigned long long *>(args.trace), globalNanos());
  return replay;
}

// Raises the signal of the kernel once all its blocks have come here.
//
// Results of all threads are visible before the flag, without a fence by each: the barrier orders them before
// what the first thread does, its arrival (release) before the last block's (acquire), and releases are
// cumulative. The same holds for the kernels before this one, which awaitPredecessors() orders before it.
__device__ inline void endKernel(const KtCudaArgs &args, uint32_t replay) {
  if (args.trace && isFirstThread())
    atomicMax(reinterpret_cast<unsigned long long *>(args.trace + 1), globalNanos());
  if (!args.raiseFlag)
    return;
  __syncthreads();
  if (!isFirstThread())
    return;
  const uint32_t blocks = gridDim.x * gridDim.y * gridDim.z;
  if (blocks != 1) {
    if (addAcquireRelease(args.arrivals, 1) != blocks - 1)
      return;
    *args.arrivals = 0;
  }
  storeReleaseSystem(args.raiseFlag, replay);
}

// Tokens of this replay, at most the M that the kernel was made for.
template <bool Dynamic, int M> __device__ inline int tokenCount(const KtCudaArgs &args) {
  return Dynamic ? static_cast<int>(args.step->nTokens) : M;
}

// Body::prefetch, if there is one.
template <class Body>
__device__ inline auto prefetchOf(const KtCudaArgs &args, int) -> decltype(Body::prefetch(args)) {
  Body::prefetch(args);
}
template <class Body> __device__ inline void prefetchOf(const KtCudaArgs &, long) {}

// A kernel: Body has `static __device__ void run(const KtCudaArgs &)`, which every thread leaves normally. It
// may have `prefetch` with the same parameter, which runs before the kernels before this one have ended and may
// read nothing but weights.
template <class Body> __device__ inline void runKernel(const KtCudaArgs &args) {
  letSuccessorsCome();
  prefetchOf<Body>(args, 0);
  const uint32_t replay = beginKernel(args);
  Body::run(args);
  endKernel(args, replay);
}

} // namespace kt
