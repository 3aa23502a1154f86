// GPUs of this machine through the CUDA driver library, loaded at run time so that nothing depends on it.
#include "compiler/probe/measure.h"

#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace ktc {

using policy::GpuMachine;

namespace {

// The few driver functions that are needed; types as in the driver's ABI.
using Handle = void *;
using DevicePtr = unsigned long long;

// Numbers of CUdevice_attribute.
enum Attribute {
  kSmCount = 16,
  kClockKhz = 13,
  kMemoryClockKhz = 36,
  kBusWidthBits = 37,
  kMajor = 75,
  kMinor = 76
};

struct Driver {
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
  int (*copyH2D)(DevicePtr, const void *, size_t) = nullptr;
  int (*copyD2H)(void *, DevicePtr, size_t) = nullptr;
  int (*copyD2D)(DevicePtr, DevicePtr, size_t) = nullptr;
  int (*synchronize)() = nullptr;

  // Loads and initialises the driver; false if there is none or it reports no device.
  bool load() {
    library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    return library && find(init, "cuInit") && find(deviceCount, "cuDeviceGetCount") &&
           find(deviceGet, "cuDeviceGet") && find(deviceName, "cuDeviceGetName") &&
           find(totalMem, "cuDeviceTotalMem_v2") && find(attribute, "cuDeviceGetAttribute") &&
           find(contextRetain, "cuDevicePrimaryCtxRetain") &&
           find(contextRelease, "cuDevicePrimaryCtxRelease_v2") && find(contextSetCurrent, "cuCtxSetCurrent") &&
           find(memAlloc, "cuMemAlloc_v2") && find(memFree, "cuMemFree_v2") &&
           find(hostAlloc, "cuMemHostAlloc") && find(hostFree, "cuMemFreeHost") &&
           find(copyH2D, "cuMemcpyHtoD_v2") && find(copyD2H, "cuMemcpyDtoH_v2") &&
           find(copyD2D, "cuMemcpyDtoD_v2") && find(synchronize, "cuCtxSynchronize") && init(0) == 0;
  }
  // The library stays loaded: the driver does not support being unloaded.

private:
  template <typename Function> bool find(Function &function, const char *name) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    return function != nullptr;
  }
  void *library = nullptr;
};

int attributeOf(const Driver &driver, Attribute attribute, int device) {
  int value = 0;
  return driver.attribute(&value, attribute, device) == 0 ? value : 0;
}

// Half-precision matrix operations per cycle and SM: a generation's peak halved, which good kernels reach.
double opsPerCycle(int sm) { return sm >= 90 ? 4096 : sm >= 80 ? 1024 : sm >= 70 ? 512 : 128; }

GpuMachine describe(const Driver &driver, int device) {
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

// Best bytes/s of `copy` over some repetitions; 0 if it fails.
template <typename Copy> double bandwidthOf(const Driver &driver, size_t bytes, Copy copy) {
  double best = 0;
  for (int pass = 0; pass < 6; ++pass) {
    auto start = std::chrono::steady_clock::now();
    if (copy() != 0 || driver.synchronize() != 0)
      return 0;
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, static_cast<double>(bytes) / seconds);
  }
  return best;
}

void measure(const Driver &driver, int device, GpuMachine &gpu) {
  constexpr size_t kBytes = 256u << 20;
  Handle context = nullptr;
  if (driver.contextRetain(&context, device) != 0)
    return;
  DevicePtr from = 0, to = 0;
  void *host = nullptr;
  if (driver.contextSetCurrent(context) == 0 && driver.memAlloc(&from, kBytes) == 0 &&
      driver.memAlloc(&to, kBytes) == 0 && driver.hostAlloc(&host, kBytes, 0) == 0) {
    auto take = [](double &rate, double measured) { rate = measured > 0 ? measured : rate; };
    take(gpu.h2dBandwidth, bandwidthOf(driver, kBytes, [&] { return driver.copyH2D(from, host, kBytes); }));
    take(gpu.d2hBandwidth, bandwidthOf(driver, kBytes, [&] { return driver.copyD2H(host, from, kBytes); }));
    // A copy inside the device reads and writes every byte.
    take(gpu.bandwidth, bandwidthOf(driver, 2 * kBytes, [&] { return driver.copyD2D(to, from, kBytes); }));
  }
  if (from)
    driver.memFree(from);
  if (to)
    driver.memFree(to);
  if (host)
    driver.hostFree(host);
  driver.contextRelease(device);
}

} // namespace

std::vector<GpuMachine> detectGpus(bool measureRates) {
  Driver driver;
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
