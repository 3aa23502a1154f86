// The CUDA driver, found at run time: ktrt is linked with nothing of CUDA and asks for the driver only when a
// plan has work for a GPU.
//
// Types and constants are our own declarations of the driver's binary interface (version 12.0 and later),
// reduced to what is used here. test/runtime/cuda/layout_test.cpp compares them with the toolkit's header where
// it is there.
#pragma once

#include "runtime/abi/result.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace ktrt::cuda {

using Context = struct ContextHandle *;
using Stream = struct StreamHandle *;
using Event = struct EventHandle *;
using Module = struct ModuleHandle *;
using Function = struct FunctionHandle *;
using Graph = struct GraphHandle *;
using GraphNode = struct GraphNodeHandle *;
using GraphExec = struct GraphExecHandle *;
using DeviceAddress = uint64_t;

// Results of calls that are told apart; every other one but kSuccess is an error.
inline constexpr int kSuccess = 0, kNoDevice = 100, kNotReady = 600;

// Attributes and flags.
inline constexpr int kMajorVersion = 75, kMinorVersion = 76; // of a device
inline constexpr int kMaxDynamicSharedBytes = 8;             // of a function
inline constexpr unsigned kStreamNonBlocking = 1, kEventWithoutTiming = 2;
inline constexpr unsigned kHostPortable = 1, kHostMapped = 2;
inline constexpr unsigned kMemoryHost = 1, kMemoryDevice = 2;
inline constexpr unsigned kWaitValue32 = 1, kWriteValue32 = 2, kWaitEqual = 1;
inline constexpr uint8_t kProgrammaticPort = 1, kProgrammaticEdge = 1;

struct KernelNodeParams { // CUDA_KERNEL_NODE_PARAMS_v2
  Function function;
  unsigned grid[3];
  unsigned block[3];
  unsigned sharedBytes;
  void **parameters;
  void **extra;
  void *kernel;
  Context context;
};

struct EdgeData { // CUgraphEdgeData
  uint8_t fromPort, toPort, type, reserved[5];
};

struct CopySide { // one half of CUDA_MEMCPY3D_v2
  size_t x, y, z, lod;
  unsigned memoryType;
  const void *host;
  DeviceAddress device;
  void *array;
  void *reserved;
  size_t pitch, height;
};
struct CopyNodeParams { // CUDA_MEMCPY3D_v2
  CopySide source, destination;
  size_t width, height, depth;
};

struct FillNodeParams { // CUDA_MEMSET_NODE_PARAMS_v1
  DeviceAddress destination;
  size_t pitch;
  unsigned value;
  unsigned elementBytes;
  size_t width, height;
};

struct MemoryOperation { // CUstreamBatchMemOpParams_v1, of 32-bit waits and writes
  unsigned operation;
  DeviceAddress address;
  uint64_t value;
  unsigned flags;
  DeviceAddress alias;
  uint64_t padding;
};
struct MemoryNodeParams { // CUDA_BATCH_MEM_OP_NODE_PARAMS_v1
  Context context;
  unsigned count;
  MemoryOperation *operations;
  unsigned flags;
};

// Every function that is used: member name, exported name, parameters. All return an int, kSuccess or an error.
#define KTRT_CUDA_FUNCTIONS(X)                                                                                 \
  X(init, "cuInit", (unsigned flags))                                                                          \
  X(driverGetVersion, "cuDriverGetVersion", (int *version))                                                    \
  X(getErrorName, "cuGetErrorName", (int error, const char **text))                                            \
  X(getErrorString, "cuGetErrorString", (int error, const char **text))                                        \
  X(deviceGetCount, "cuDeviceGetCount", (int *count))                                                          \
  X(deviceGet, "cuDeviceGet", (int *device, int ordinal))                                                      \
  X(deviceGetName, "cuDeviceGetName", (char *name, int length, int device))                                    \
  X(deviceGetAttribute, "cuDeviceGetAttribute", (int *value, int attribute, int device))                       \
  X(primaryContextRetain, "cuDevicePrimaryCtxRetain", (Context * context, int device))                         \
  X(primaryContextRelease, "cuDevicePrimaryCtxRelease_v2", (int device))                                       \
  X(contextSetCurrent, "cuCtxSetCurrent", (Context context))                                                   \
  X(memGetInfo, "cuMemGetInfo_v2", (size_t *free, size_t *total))                                              \
  X(memAlloc, "cuMemAlloc_v2", (DeviceAddress * address, size_t bytes))                                        \
  X(memFree, "cuMemFree_v2", (DeviceAddress address))                                                          \
  X(memHostAlloc, "cuMemHostAlloc", (void **address, size_t bytes, unsigned flags))                            \
  X(memFreeHost, "cuMemFreeHost", (void *address))                                                             \
  X(memHostGetDevicePointer, "cuMemHostGetDevicePointer_v2",                                                   \
    (DeviceAddress * address, void *host, unsigned flags))                                                     \
  X(copyToDevice, "cuMemcpyHtoDAsync_v2",                                                                      \
    (DeviceAddress destination, const void *source, size_t bytes, Stream stream))                              \
  X(copyOnDevice, "cuMemcpyDtoDAsync_v2",                                                                      \
    (DeviceAddress destination, DeviceAddress source, size_t bytes, Stream stream))                            \
  X(fillBytes, "cuMemsetD8Async", (DeviceAddress address, unsigned char value, size_t count, Stream stream))   \
  X(streamCreate, "cuStreamCreate", (Stream * stream, unsigned flags))                                         \
  X(streamDestroy, "cuStreamDestroy_v2", (Stream stream))                                                      \
  X(streamQuery, "cuStreamQuery", (Stream stream))                                                             \
  X(streamSynchronize, "cuStreamSynchronize", (Stream stream))                                                 \
  X(eventCreate, "cuEventCreate", (Event * event, unsigned flags))                                             \
  X(eventDestroy, "cuEventDestroy_v2", (Event event))                                                          \
  X(eventRecord, "cuEventRecord", (Event event, Stream stream))                                                \
  X(eventSynchronize, "cuEventSynchronize", (Event event))                                                     \
  X(moduleLoadData, "cuModuleLoadData", (Module * module, const void *image))                                  \
  X(moduleUnload, "cuModuleUnload", (Module module))                                                           \
  X(moduleGetFunction, "cuModuleGetFunction", (Function * function, Module module, const char *name))          \
  X(functionSetAttribute, "cuFuncSetAttribute", (Function function, int attribute, int value))                 \
  X(copy, "cuMemcpyAsync", (DeviceAddress destination, DeviceAddress source, size_t bytes, Stream stream))     \
  X(launchKernel, "cuLaunchKernel",                                                                            \
    (Function function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY,      \
     unsigned blockZ, unsigned sharedBytes, Stream stream, void **parameters, void **extra))                   \
  X(streamMemoryOperations, "cuStreamBatchMemOp_v2",                                                           \
    (Stream stream, unsigned count, MemoryOperation *operations, unsigned flags))                              \
  X(graphCreate, "cuGraphCreate", (Graph * graph, unsigned flags))                                             \
  X(graphDestroy, "cuGraphDestroy", (Graph graph))                                                             \
  X(graphAddKernelNode, "cuGraphAddKernelNode_v2",                                                             \
    (GraphNode * node, Graph graph, const GraphNode *after, size_t count, const KernelNodeParams *params))     \
  X(graphAddCopyNode, "cuGraphAddMemcpyNode",                                                                  \
    (GraphNode * node, Graph graph, const GraphNode *after, size_t count, const CopyNodeParams *params,        \
     Context context))                                                                                         \
  X(graphAddFillNode, "cuGraphAddMemsetNode",                                                                  \
    (GraphNode * node, Graph graph, const GraphNode *after, size_t count, const FillNodeParams *params,        \
     Context context))                                                                                         \
  X(graphAddMemoryNode, "cuGraphAddBatchMemOpNode",                                                            \
    (GraphNode * node, Graph graph, const GraphNode *after, size_t count, const MemoryNodeParams *params))     \
  X(graphInstantiate, "cuGraphInstantiateWithFlags",                                                           \
    (GraphExec * exec, Graph graph, unsigned long long flags))                                                 \
  X(graphUpload, "cuGraphUpload", (GraphExec exec, Stream stream))                                             \
  X(graphLaunch, "cuGraphLaunch", (GraphExec exec, Stream stream))                                             \
  X(graphExecDestroy, "cuGraphExecDestroy", (GraphExec exec))

// Functions that drivers have from CUDA 12.3 on, or null: whoever calls them can do without.
#define KTRT_CUDA_NEWER_FUNCTIONS(X)                                                                           \
  X(graphAddDependencies, "cuGraphAddDependencies_v2",                                                         \
    (Graph graph, const GraphNode *from, const GraphNode *to, const EdgeData *data, size_t count))

// The loaded driver: a table of its functions. Lives until the end of the process, as the driver itself does.
struct Driver {
  // Loads $KTRT_CUDA_DRIVER or libcuda.so.1 and starts it. The error says what is missing: the library, a
  // function (the driver is too old), or any GPU.
  static kt::Result<std::unique_ptr<const Driver>> load();

  // Success, or an error with the call's name and the driver's own words for `result`.
  kt::Status check(int result, const char *call) const;

#define KTRT_CUDA_MEMBER(member, name, parameters) int(*member) parameters = nullptr;
  KTRT_CUDA_FUNCTIONS(KTRT_CUDA_MEMBER)
  KTRT_CUDA_NEWER_FUNCTIONS(KTRT_CUDA_MEMBER)
#undef KTRT_CUDA_MEMBER
};

} // namespace ktrt::cuda
