// Compares our declarations of the driver's interface with the toolkit's header, where there is one.
#include "runtime/cuda/driver.h"

#include <cuda.h>
#include <gtest/gtest.h>
#include <type_traits>

namespace own = ktrt::cuda;

#define SAME_PLACE(ours, field, theirs, other)                                                                 \
  static_assert(offsetof(ours, field) == offsetof(theirs, other) &&                                            \
                sizeof(std::declval<ours>().field) == sizeof(std::declval<theirs>().other))

static_assert(sizeof(own::KernelNodeParams) == sizeof(CUDA_KERNEL_NODE_PARAMS));
SAME_PLACE(own::KernelNodeParams, function, CUDA_KERNEL_NODE_PARAMS, func);
SAME_PLACE(own::KernelNodeParams, grid[0], CUDA_KERNEL_NODE_PARAMS, gridDimX);
SAME_PLACE(own::KernelNodeParams, grid[2], CUDA_KERNEL_NODE_PARAMS, gridDimZ);
SAME_PLACE(own::KernelNodeParams, block[0], CUDA_KERNEL_NODE_PARAMS, blockDimX);
SAME_PLACE(own::KernelNodeParams, sharedBytes, CUDA_KERNEL_NODE_PARAMS, sharedMemBytes);
SAME_PLACE(own::KernelNodeParams, parameters, CUDA_KERNEL_NODE_PARAMS, kernelParams);
SAME_PLACE(own::KernelNodeParams, extra, CUDA_KERNEL_NODE_PARAMS, extra);
SAME_PLACE(own::KernelNodeParams, kernel, CUDA_KERNEL_NODE_PARAMS, kern);
SAME_PLACE(own::KernelNodeParams, context, CUDA_KERNEL_NODE_PARAMS, ctx);

static_assert(sizeof(own::EdgeData) == sizeof(CUgraphEdgeData));
SAME_PLACE(own::EdgeData, fromPort, CUgraphEdgeData, from_port);
SAME_PLACE(own::EdgeData, toPort, CUgraphEdgeData, to_port);
SAME_PLACE(own::EdgeData, type, CUgraphEdgeData, type);
static_assert(own::kProgrammaticPort == CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC &&
              own::kProgrammaticEdge == CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC);

static_assert(sizeof(own::CopyNodeParams) == sizeof(CUDA_MEMCPY3D));
SAME_PLACE(own::CopyNodeParams, source.x, CUDA_MEMCPY3D, srcXInBytes);
SAME_PLACE(own::CopyNodeParams, source.memoryType, CUDA_MEMCPY3D, srcMemoryType);
SAME_PLACE(own::CopyNodeParams, source.host, CUDA_MEMCPY3D, srcHost);
SAME_PLACE(own::CopyNodeParams, source.device, CUDA_MEMCPY3D, srcDevice);
SAME_PLACE(own::CopyNodeParams, source.array, CUDA_MEMCPY3D, srcArray);
SAME_PLACE(own::CopyNodeParams, source.reserved, CUDA_MEMCPY3D, reserved0);
SAME_PLACE(own::CopyNodeParams, source.pitch, CUDA_MEMCPY3D, srcPitch);
SAME_PLACE(own::CopyNodeParams, source.height, CUDA_MEMCPY3D, srcHeight);
SAME_PLACE(own::CopyNodeParams, destination.x, CUDA_MEMCPY3D, dstXInBytes);
SAME_PLACE(own::CopyNodeParams, destination.memoryType, CUDA_MEMCPY3D, dstMemoryType);
SAME_PLACE(own::CopyNodeParams, destination.host, CUDA_MEMCPY3D, dstHost);
SAME_PLACE(own::CopyNodeParams, destination.device, CUDA_MEMCPY3D, dstDevice);
SAME_PLACE(own::CopyNodeParams, destination.height, CUDA_MEMCPY3D, dstHeight);
SAME_PLACE(own::CopyNodeParams, width, CUDA_MEMCPY3D, WidthInBytes);
SAME_PLACE(own::CopyNodeParams, height, CUDA_MEMCPY3D, Height);
SAME_PLACE(own::CopyNodeParams, depth, CUDA_MEMCPY3D, Depth);

static_assert(sizeof(own::FillNodeParams) == sizeof(CUDA_MEMSET_NODE_PARAMS));
SAME_PLACE(own::FillNodeParams, destination, CUDA_MEMSET_NODE_PARAMS, dst);
SAME_PLACE(own::FillNodeParams, pitch, CUDA_MEMSET_NODE_PARAMS, pitch);
SAME_PLACE(own::FillNodeParams, value, CUDA_MEMSET_NODE_PARAMS, value);
SAME_PLACE(own::FillNodeParams, elementBytes, CUDA_MEMSET_NODE_PARAMS, elementSize);
SAME_PLACE(own::FillNodeParams, width, CUDA_MEMSET_NODE_PARAMS, width);
SAME_PLACE(own::FillNodeParams, height, CUDA_MEMSET_NODE_PARAMS, height);

using WaitValue = CUstreamBatchMemOpParams::CUstreamMemOpWaitValueParams_st;
using WriteValue = CUstreamBatchMemOpParams::CUstreamMemOpWriteValueParams_st;
static_assert(sizeof(own::MemoryOperation) == sizeof(CUstreamBatchMemOpParams));
SAME_PLACE(own::MemoryOperation, operation, WaitValue, operation);
SAME_PLACE(own::MemoryOperation, address, WaitValue, address);
SAME_PLACE(own::MemoryOperation, value, WaitValue, value64);
SAME_PLACE(own::MemoryOperation, flags, WaitValue, flags);
SAME_PLACE(own::MemoryOperation, alias, WaitValue, alias);
SAME_PLACE(own::MemoryOperation, address, WriteValue, address);
SAME_PLACE(own::MemoryOperation, value, WriteValue, value64);
SAME_PLACE(own::MemoryOperation, flags, WriteValue, flags);
static_assert(sizeof(own::MemoryNodeParams) == sizeof(CUDA_BATCH_MEM_OP_NODE_PARAMS));
SAME_PLACE(own::MemoryNodeParams, count, CUDA_BATCH_MEM_OP_NODE_PARAMS, count);
SAME_PLACE(own::MemoryNodeParams, operations, CUDA_BATCH_MEM_OP_NODE_PARAMS, paramArray);
SAME_PLACE(own::MemoryNodeParams, flags, CUDA_BATCH_MEM_OP_NODE_PARAMS, flags);

static_assert(own::kNoDevice == CUDA_ERROR_NO_DEVICE && own::kNotReady == CUDA_ERROR_NOT_READY);
static_assert(own::kMajorVersion == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR &&
              own::kMinorVersion == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
static_assert(own::kMaxDynamicSharedBytes == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
static_assert(own::kStreamNonBlocking == CU_STREAM_NON_BLOCKING &&
              own::kEventWithoutTiming == CU_EVENT_DISABLE_TIMING);
static_assert(own::kHostPortable == CU_MEMHOSTALLOC_PORTABLE && own::kHostMapped == CU_MEMHOSTALLOC_DEVICEMAP);
static_assert(own::kMemoryHost == CU_MEMORYTYPE_HOST && own::kMemoryDevice == CU_MEMORYTYPE_DEVICE);
static_assert(own::kWaitValue32 == CU_STREAM_MEM_OP_WAIT_VALUE_32 &&
              own::kWriteValue32 == CU_STREAM_MEM_OP_WRITE_VALUE_32 &&
              own::kWaitEqual == CU_STREAM_WAIT_VALUE_EQ);

// Every function has as many parameters of the same sizes as the header says, under the name that we look up.
template <typename Function> struct Sizes;
template <typename... Parameters> struct Sizes<int (*)(Parameters...)> {
  static constexpr size_t value[] = {sizeof(Parameters)..., 0};
  static constexpr size_t count = sizeof...(Parameters);
};
template <typename... Parameters> struct Sizes<CUresult(Parameters...)> {
  static constexpr size_t value[] = {sizeof(Parameters)..., 0};
  static constexpr size_t count = sizeof...(Parameters);
};
template <typename Ours, typename Theirs> constexpr bool sameParameters() {
  if (Sizes<Ours>::count != Sizes<Theirs>::count)
    return false;
  for (size_t i = 0; i < Sizes<Ours>::count; ++i)
    if (Sizes<Ours>::value[i] != Sizes<Theirs>::value[i])
      return false;
  return true;
}
#define TEXT_OF(name) #name
#define NAME_OF(name) TEXT_OF(name)
#define COMPARE(member, function)                                                                              \
  static_assert(sameParameters<decltype(own::Driver::member), decltype(function)>());                          \
  expectName(#member, NAME_OF(function))

namespace {

void expectName(const std::string &member, const std::string &name) {
  const struct {
    const char *member, *name;
  } table[] = {
#define ENTRY(member, name, parameters) {#member, name},
      KTRT_CUDA_FUNCTIONS(ENTRY) KTRT_CUDA_NEWER_FUNCTIONS(ENTRY)
#undef ENTRY
  };
  for (const auto &entry : table)
    if (member == entry.member) {
      EXPECT_EQ(entry.name, name);
      return;
    }
  ADD_FAILURE() << member;
}

TEST(DriverInterface, IsThatOfTheHeader) {
  COMPARE(init, cuInit);
  COMPARE(driverGetVersion, cuDriverGetVersion);
  COMPARE(getErrorName, cuGetErrorName);
  COMPARE(getErrorString, cuGetErrorString);
  COMPARE(deviceGetCount, cuDeviceGetCount);
  COMPARE(deviceGet, cuDeviceGet);
  COMPARE(deviceGetName, cuDeviceGetName);
  COMPARE(deviceGetAttribute, cuDeviceGetAttribute);
  COMPARE(primaryContextRetain, cuDevicePrimaryCtxRetain);
  COMPARE(primaryContextRelease, cuDevicePrimaryCtxRelease);
  COMPARE(contextSetCurrent, cuCtxSetCurrent);
  COMPARE(memGetInfo, cuMemGetInfo);
  COMPARE(memAlloc, cuMemAlloc);
  COMPARE(memFree, cuMemFree);
  COMPARE(memHostAlloc, cuMemHostAlloc);
  COMPARE(memFreeHost, cuMemFreeHost);
  COMPARE(memHostGetDevicePointer, cuMemHostGetDevicePointer);
  COMPARE(copyToDevice, cuMemcpyHtoDAsync);
  COMPARE(copyOnDevice, cuMemcpyDtoDAsync);
  COMPARE(fillBytes, cuMemsetD8Async);
  COMPARE(streamCreate, cuStreamCreate);
  COMPARE(streamDestroy, cuStreamDestroy);
  COMPARE(streamQuery, cuStreamQuery);
  COMPARE(streamSynchronize, cuStreamSynchronize);
  COMPARE(eventCreate, cuEventCreate);
  COMPARE(eventDestroy, cuEventDestroy);
  COMPARE(eventRecord, cuEventRecord);
  COMPARE(eventSynchronize, cuEventSynchronize);
  COMPARE(moduleLoadData, cuModuleLoadData);
  COMPARE(moduleUnload, cuModuleUnload);
  COMPARE(moduleGetFunction, cuModuleGetFunction);
  COMPARE(functionSetAttribute, cuFuncSetAttribute);
  COMPARE(copy, cuMemcpyAsync);
  COMPARE(launchKernel, cuLaunchKernel);
  COMPARE(streamMemoryOperations, cuStreamBatchMemOp);
  COMPARE(graphCreate, cuGraphCreate);
  COMPARE(graphDestroy, cuGraphDestroy);
  COMPARE(graphAddKernelNode, cuGraphAddKernelNode);
  COMPARE(graphAddCopyNode, cuGraphAddMemcpyNode);
  COMPARE(graphAddFillNode, cuGraphAddMemsetNode);
  COMPARE(graphAddMemoryNode, cuGraphAddBatchMemOpNode);
  COMPARE(graphAddDependencies, cuGraphAddDependencies);
  COMPARE(graphInstantiate, cuGraphInstantiateWithFlags);
  COMPARE(graphUpload, cuGraphUpload);
  COMPARE(graphLaunch, cuGraphLaunch);
  COMPARE(graphExecDestroy, cuGraphExecDestroy);
}

} // namespace
