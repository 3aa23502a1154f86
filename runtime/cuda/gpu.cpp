// GPUs and their memory; see gpu.h.
#include "runtime/cuda/gpu.h"

#include "runtime/plan/message.h"

#include <cinttypes>
#include <cstring>
#include <utility>

namespace ktrt::cuda {

kt::Result<std::unique_ptr<Gpu>> Gpu::open(const Driver &driver, uint32_t ordinal) {
  int count = 0;
  if (kt::Status status = driver.check(driver.deviceGetCount(&count), "cuDeviceGetCount"); !status)
    return status.error();
  if (ordinal >= uint32_t(count))
    return failure("there is no GPU number %u: the driver shows %d", ordinal, count);
  std::unique_ptr<Gpu> gpu(new Gpu(driver));
  char name[128] = "";
  int major = 0, minor = 0;
  kt::Status status = driver.check(driver.deviceGet(&gpu->device, int(ordinal)), "cuDeviceGet");
  if (status)
    status = driver.check(driver.deviceGetName(name, int(sizeof(name)) - 1, gpu->device), "cuDeviceGetName");
  if (status)
    status =
        driver.check(driver.deviceGetAttribute(&major, kMajorVersion, gpu->device), "cuDeviceGetAttribute");
  if (status)
    status =
        driver.check(driver.deviceGetAttribute(&minor, kMinorVersion, gpu->device), "cuDeviceGetAttribute");
  if (status)
    status = driver.check(driver.primaryContextRetain(&gpu->primary, gpu->device), "cuDevicePrimaryCtxRetain");
  if (!status)
    return status.error();
  gpu->label = name;
  gpu->version = uint32_t(major * 10 + minor);
  gpu->makeCurrent();
  if (status = driver.check(driver.streamCreate(&gpu->work, kStreamNonBlocking), "cuStreamCreate"); !status)
    return status.error();
  return gpu;
}

Gpu::~Gpu() {
  if (!primary || lost)
    return;
  makeCurrent();
  if (work)
    table.streamDestroy(work);
  table.contextSetCurrent(nullptr);
  table.primaryContextRelease(device);
}

kt::Result<MemoryInfo> Gpu::memoryInfo() const {
  makeCurrent();
  size_t free = 0, total = 0;
  if (kt::Status status = table.check(table.memGetInfo(&free, &total), "cuMemGetInfo"); !status)
    return status.error();
  return MemoryInfo{free, total};
}

kt::Status Gpu::synchronize() const {
  makeCurrent();
  return table.check(table.streamSynchronize(work), "cuStreamSynchronize");
}

kt::Status Gpu::copyToHost(void *to, const void *from, uint64_t bytes) const {
  makeCurrent();
  if (kt::Status status = table.check(
          table.copy(reinterpret_cast<DeviceAddress>(to), reinterpret_cast<DeviceAddress>(from), bytes, work),
          "cuMemcpyAsync");
      !status)
    return status;
  return synchronize();
}

static kt::Error allocationError(const std::string &what, uint64_t bytes, const char *place,
                                 const kt::Status &status) {
  return failure("%s: cannot get %" PRIu64 " bytes of %s memory: %s", what.c_str(), bytes, place,
                 status.error().message.c_str());
}

kt::Result<GpuMemory> GpuMemory::onDevice(Gpu &gpu, uint64_t bytes, const std::string &what) {
  GpuMemory memory;
  memory.gpu = &gpu;
  if (bytes == 0)
    return memory;
  gpu.makeCurrent();
  const Driver &driver = gpu.driver();
  kt::Status status = driver.check(driver.memAlloc(&memory.address, bytes), "cuMemAlloc");
  if (!status)
    memory.address = 0;
  else
    status = driver.check(driver.fillBytes(memory.address, 0, bytes, gpu.stream()), "cuMemsetD8Async");
  if (!status)
    return allocationError(what, bytes, gpu.name().c_str(), status);
  memory.size = bytes;
  return memory;
}

kt::Result<GpuMemory> GpuMemory::onHost(Gpu &gpu, uint64_t bytes, const std::string &what) {
  GpuMemory memory;
  memory.gpu = &gpu;
  memory.host = true;
  if (bytes == 0)
    return memory;
  gpu.makeCurrent();
  const Driver &driver = gpu.driver();
  void *data = nullptr;
  kt::Status status =
      driver.check(driver.memHostAlloc(&data, bytes, kHostPortable | kHostMapped), "cuMemHostAlloc");
  if (!status)
    return allocationError(what, bytes, "pinned host", status);
  memory.address = reinterpret_cast<DeviceAddress>(data);
  memory.size = bytes;
  DeviceAddress seen = 0;
  status = driver.check(driver.memHostGetDevicePointer(&seen, data, 0), "cuMemHostGetDevicePointer");
  if (!status)
    return allocationError(what, bytes, "pinned host", status);
  if (seen != memory.address)
    return failure(
        "%s: this GPU sees pinned host memory at another address than the host, which is not supported",
        what.c_str());
  memset(data, 0, bytes);
  return memory;
}

GpuMemory::GpuMemory(GpuMemory &&other) noexcept
    : gpu(other.gpu), host(other.host), address(std::exchange(other.address, 0)),
      size(std::exchange(other.size, 0)) {}

GpuMemory &GpuMemory::operator=(GpuMemory &&other) noexcept {
  std::swap(gpu, other.gpu);
  std::swap(host, other.host);
  std::swap(address, other.address);
  std::swap(size, other.size);
  return *this;
}

GpuMemory::~GpuMemory() {
  if (!address || gpu->abandoned())
    return;
  gpu->makeCurrent();
  if (host)
    gpu->driver().memFreeHost(data());
  else
    gpu->driver().memFree(address);
}

} // namespace ktrt::cuda
