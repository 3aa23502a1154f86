// GPUs of this machine: what the driver says of them, and how fast they copy.
#include "compiler/probe/gpu_driver.h"
#include "compiler/probe/measure.h"

#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

namespace ktc {

using policy::GpuMachine;

namespace {

using DevicePtr = GpuDriver::DevicePtr;

// Numbers of CUdevice_attribute.
enum Attribute {
  kSmCount = 16,
  kClockKhz = 13,
  kMemoryClockKhz = 36,
  kBusWidthBits = 37,
  kMajor = 75,
  kMinor = 76
};

int attributeOf(const GpuDriver &driver, Attribute attribute, int device) {
  int value = 0;
  return driver.attribute(&value, attribute, device) == 0 ? value : 0;
}

// Half-precision matrix operations per cycle and SM: a generation's peak halved, which good kernels reach.
double opsPerCycle(int sm) { return sm >= 90 ? 4096 : sm >= 80 ? 1024 : sm >= 70 ? 512 : 128; }

GpuMachine describe(const GpuDriver &driver, int device) {
  GpuMachine gpu;
  char name[256] = {};
  if (driver.deviceName(name, sizeof(name) - 1, device) == 0)
    gpu.name = name;
  size_t bytes = 0;
  if (driver.totalMem(&bytes, device) == 0)
    gpu.memoryBytes = bytes;
  gpu.sm = attributeOf(driver, kMajor, device) * 10 + attributeOf(driver, kMinor, device);
  gpu.tensorOps = opsPerCycle(gpu.sm) / 2 * attributeOf(driver, kSmCount, device) * 1e3 *
                  attributeOf(driver, kClockKhz, device);
  // Two transfers per clock; 80 % of that is what reads reach.
  gpu.bandwidth = 0.8 * 2e3 * attributeOf(driver, kMemoryClockKhz, device) *
                  (attributeOf(driver, kBusWidthBits, device) / 8.0);
  if (gpu.bandwidth == 0)
    gpu.bandwidth = 900e9;
  gpu.h2dBandwidth = gpu.d2hBandwidth = 20e9; // assumed: PCIe 4.0 x16
  return gpu;
}

// Best bytes/s of copies of `bytes` bytes; 0 if one fails.
double copyRate(const GpuInUse &use, DevicePtr to, DevicePtr from, size_t bytes) {
  double best = 0;
  for (int pass = 0; pass < 6; ++pass) {
    auto start = std::chrono::steady_clock::now();
    if (use.driver.copy(to, from, bytes, use.stream) != 0 || use.driver.streamSynchronize(use.stream) != 0)
      return 0;
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, static_cast<double>(bytes) / seconds);
  }
  return best;
}

void measureCopies(const GpuInUse &use, GpuMachine &gpu) {
  constexpr size_t kBytes = 256u << 20;
  const GpuDriver &driver = use.driver;
  DevicePtr from = 0, to = 0;
  void *host = nullptr;
  if (driver.memAlloc(&from, kBytes) == 0 && driver.memAlloc(&to, kBytes) == 0 &&
      driver.hostAlloc(&host, kBytes, kGpuHostFlags) == 0) {
    auto take = [](double &rate, double measured) { rate = measured > 0 ? measured : rate; };
    const auto pinned = reinterpret_cast<DevicePtr>(host);
    take(gpu.h2dBandwidth, copyRate(use, from, pinned, kBytes));
    take(gpu.d2hBandwidth, copyRate(use, pinned, from, kBytes));
    // A copy inside the device reads and writes every byte.
    take(gpu.bandwidth, 2 * copyRate(use, to, from, kBytes));
  }
  if (from)
    driver.memFree(from);
  if (to)
    driver.memFree(to);
  if (host)
    driver.hostFree(host);
}

void measure(const GpuDriver &driver, int device, GpuMachine &gpu) {
  GpuDriver::Handle context = nullptr, stream = nullptr;
  if (driver.contextRetain(&context, device) != 0)
    return;
  constexpr unsigned kNonBlocking = 1;
  if (driver.contextSetCurrent(context) == 0 && driver.streamCreate(&stream, kNonBlocking) == 0) {
    measureCopies({driver, stream}, gpu);
    measureGpuKernels({driver, stream}, gpu);
    driver.streamDestroy(stream);
  }
  driver.contextRelease(device);
}

} // namespace

bool GpuDriver::load() {
  const char *path = std::getenv("KTRT_CUDA_DRIVER");
  void *library = dlopen(path && *path ? path : "libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  auto find = [&](auto &function, const char *name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    return function != nullptr;
  };
  if (!library)
    return false;
  find(graphAddEdges, "cuGraphAddDependencies_v2");
  return find(init, "cuInit") && find(deviceCount, "cuDeviceGetCount") && find(deviceGet, "cuDeviceGet") &&
         find(deviceName, "cuDeviceGetName") && find(totalMem, "cuDeviceTotalMem_v2") &&
         find(attribute, "cuDeviceGetAttribute") && find(contextRetain, "cuDevicePrimaryCtxRetain") &&
         find(contextRelease, "cuDevicePrimaryCtxRelease_v2") && find(contextSetCurrent, "cuCtxSetCurrent") &&
         find(memAlloc, "cuMemAlloc_v2") && find(memFree, "cuMemFree_v2") &&
         find(hostAlloc, "cuMemHostAlloc") && find(hostFree, "cuMemFreeHost") &&
         find(fill, "cuMemsetD8Async") && find(copy, "cuMemcpyAsync") && find(streamCreate, "cuStreamCreate") &&
         find(streamDestroy, "cuStreamDestroy_v2") && find(streamSynchronize, "cuStreamSynchronize") &&
         find(moduleLoad, "cuModuleLoadData") && find(moduleUnload, "cuModuleUnload") &&
         find(moduleFunction, "cuModuleGetFunction") && find(functionAttribute, "cuFuncSetAttribute") &&
         find(graphCreate, "cuGraphCreate") && find(graphDestroy, "cuGraphDestroy") &&
         find(graphAddKernel, "cuGraphAddKernelNode_v2") &&
         find(graphInstantiate, "cuGraphInstantiateWithFlags") && find(graphLaunch, "cuGraphLaunch") &&
         find(graphExecDestroy, "cuGraphExecDestroy") && init(0) == 0;
}

std::vector<GpuMachine> detectGpus(bool measureRates) {
  GpuDriver driver;
  int count = 0;
  std::vector<GpuMachine> gpus;
  if (!driver.load() || driver.deviceCount(&count) != 0)
    return gpus;
  for (int i = 0; i < count; ++i) {
    int device = 0;
    if (driver.deviceGet(&device, i) != 0)
      continue;
    gpus.push_back(describe(driver, device));
    if (measureRates)
      measure(driver, device, gpus.back());
  }
  return gpus;
}

} // namespace ktc
