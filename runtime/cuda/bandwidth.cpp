// Copies within the memory of a GPU: the roof that its kernels are compared with.
#include "runtime/cuda/bandwidth.h"

#include "runtime/plan/message.h"

#include <algorithm>
#include <chrono>
#include <cinttypes>

namespace ktrt::cuda {

// The driver's copies are timed from the host, several at a time, so that starting them does not count.
kt::Result<double> measureBandwidth(Gpu &gpu) {
  constexpr uint64_t kMost = uint64_t(512) << 20,
                     kLeast = 64 << 20; // far above and at least as large as caches
  constexpr int kPasses = 5, kCopies = 8;
  kt::Result<MemoryInfo> info = gpu.memoryInfo();
  if (!info)
    return info.error();
  const uint64_t half = std::min(kMost, info->free / 4 / 4096 * 4096);
  if (half < kLeast)
    return failure("%s: %" PRIu64 " bytes of memory are free, too few to measure its bandwidth",
                   gpu.name().c_str(), info->free);
  kt::Result<GpuMemory> memory = GpuMemory::onDevice(gpu, 2 * half, "buffer for the bandwidth of the GPU");
  if (!memory)
    return memory.error();
  const DeviceAddress first = reinterpret_cast<DeviceAddress>(memory->data());
  double best = 0;
  for (int pass = 0; pass <= kPasses; ++pass) { // the first wakes the GPU
    if (kt::Status status = gpu.synchronize(); !status)
      return status.error();
    const auto start = std::chrono::steady_clock::now();
    for (int copy = 0; copy < kCopies; ++copy)
      if (kt::Status status = gpu.driver().check(
              gpu.driver().copyOnDevice(first + half, first, half, gpu.stream()), "cuMemcpyDtoDAsync");
          !status)
        return status.error();
    if (kt::Status status = gpu.synchronize(); !status)
      return status.error();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    if (pass > 0 && elapsed.count() > 0)
      best = std::max(best, 2.0 * double(half) * kCopies / elapsed.count());
  }
  return best;
}

} // namespace ktrt::cuda
