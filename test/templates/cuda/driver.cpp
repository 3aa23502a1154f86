// Loading of what the runtime's table lacks, and the context; see the header.
#include "test/templates/cuda/driver.h"

#include <cstdlib>
#include <dlfcn.h>
#include <type_traits>

namespace ktc::test {

namespace cuda = ktrt::cuda;

static kt::Result<Driver> openDriver() {
  static const kt::Result<std::unique_ptr<const cuda::Driver>> loaded = cuda::Driver::load();
  if (!loaded)
    return loaded.error();
  Driver driver = {**loaded, nullptr, nullptr, nullptr, nullptr, nullptr};
  const char *given = std::getenv("KTRT_CUDA_DRIVER");
  void *library = dlopen(given && *given ? given : "libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  std::string missing;
  auto symbol = [&](auto &function, const char *name) {
    function =
        reinterpret_cast<std::remove_reference_t<decltype(function)>>(library ? dlsym(library, name) : nullptr);
    if (!function)
      missing = name;
  };
  symbol(driver.primaryReset, "cuDevicePrimaryCtxReset_v2");
  symbol(driver.toHost, "cuMemcpyDtoH_v2");
  symbol(driver.launch, "cuLaunchKernel");
  symbol(driver.synchronize, "cuCtxSynchronize");
  symbol(driver.eventElapsed, "cuEventElapsedTime");
  if (!missing.empty())
    return kt::Error{"the CUDA driver has no function " + missing};
  if (kt::Status status = driver.check(driver.table.deviceGet(&driver.device, 0), "the first GPU"); !status)
    return status.error();
  driver.table.deviceGetAttribute(&driver.major, cuda::kMajorVersion, driver.device);
  driver.table.deviceGetAttribute(&driver.minor, cuda::kMinorVersion, driver.device);
  return driver;
}

static bool broken = false;

kt::Result<const Driver *> driver() {
  static const kt::Result<Driver> opened = openDriver();
  if (!opened)
    return opened.error();
  static thread_local cuda::Context context = nullptr;
  if (broken) {
    opened->primaryReset(opened->device);
    context = nullptr;
  }
  broken = false;
  if (!context)
    if (kt::Status status =
            opened->check(opened->table.primaryContextRetain(&context, opened->device), "the GPU's context");
        !status)
      return status.error();
  if (kt::Status status = opened->check(opened->table.contextSetCurrent(context), "the GPU's context"); !status)
    return status.error();
  return &*opened;
}

void resetDriver() { broken = true; }

} // namespace ktc::test
