// The CUDA driver as measurements need it, loaded at run time so that nothing depends on it.
//
// Types and numbers are our own declarations of the driver's binary interface. All functions return 0 or an
// error, which here only means that something is not measured.
#pragma once

#include "compiler/policy/machine.h"

#include <cstddef>
#include <cstdint>

namespace ktc {

struct GpuDriver {
  using Handle = void *;
  using DevicePtr = unsigned long long;

  struct KernelNode { // CUDA_KERNEL_NODE_PARAMS_v2
    Handle function;
    unsigned grid[3], block[3], sharedBytes;
    void **parameters, **extra;
    Handle kernel, context;
  };
  struct EdgeData { // CUgraphEdgeData
    uint8_t fromPort, toPort, type, reserved[5];
  };

  // Loads and starts $KTRT_CUDA_DRIVER or libcuda.so.1, which stays loaded: it does not support being unloaded.
  // False if there is none, or one without these functions.
  bool load();

  int (*init)(unsigned) = nullptr;
  int (*deviceCount)(int *) = nullptr;
  int (*deviceGet)(int *, int) = nullptr;
  int (*deviceName)(char *, int, int) = nullptr;
  int (*totalMem)(size_t *, int) = nullptr;
  int (*attribute)(int *, int, int) = nullptr;
  int (*contextRetain)(Handle *, int) = nullptr;
  int (*contextRelease)(int) = nullptr;
  int (*contextSetCurrent)(Handle) = nullptr;
  int (*memAlloc)(DevicePtr *, size_t) = nullptr;
  int (*memFree)(DevicePtr) = nullptr;
  int (*hostAlloc)(void **, size_t, unsigned) = nullptr;
  int (*hostFree)(void *) = nullptr;
  int (*fill)(DevicePtr, unsigned char, size_t, Handle) = nullptr;
  int (*copy)(DevicePtr, DevicePtr, size_t, Handle) = nullptr; // any direction, pinned host memory
  int (*streamCreate)(Handle *, unsigned) = nullptr;
  int (*streamDestroy)(Handle) = nullptr;
  int (*streamSynchronize)(Handle) = nullptr;
  int (*moduleLoad)(Handle *, const void *) = nullptr;
  int (*moduleUnload)(Handle) = nullptr;
  int (*moduleFunction)(Handle *, Handle, const char *) = nullptr;
  int (*functionAttribute)(Handle, int, int) = nullptr;
  int (*graphCreate)(Handle *, unsigned) = nullptr;
  int (*graphDestroy)(Handle) = nullptr;
  int (*graphAddKernel)(Handle *, Handle, const Handle *, size_t, const KernelNode *) = nullptr;
  int (*graphInstantiate)(Handle *, Handle, unsigned long long) = nullptr;
  int (*graphLaunch)(Handle, Handle) = nullptr;
  int (*graphExecDestroy)(Handle) = nullptr;
  // From CUDA 12.3 on, or null.
  int (*graphAddEdges)(Handle, const Handle *, const Handle *, const EdgeData *, size_t) = nullptr;
};

// Pinned host memory that GPUs see: portable and mapped.
inline constexpr unsigned kGpuHostFlags = 3;

// One GPU while it is measured: its context is current and it has a stream.
struct GpuInUse {
  const GpuDriver &driver;
  GpuDriver::Handle stream;
};

// Fills the rates of `gpu` that need kernels (weight_stream, latencies, hand_over); leaves those at 0 that
// cannot be measured, all of them without NVRTC.
void measureGpuKernels(const GpuInUse &use, policy::GpuMachine &gpu);

} // namespace ktc
