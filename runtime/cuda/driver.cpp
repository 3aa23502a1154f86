// Finding the driver and its functions; see driver.h.
#include "runtime/cuda/driver.h"

#include "runtime/cuda/node_launch.h"
#include "runtime/plan/message.h"

#include <cstdlib>
#include <dlfcn.h>

namespace ktrt::cuda {

static constexpr int kOldestVersion = 12000; // first with all functions of the table

kt::Result<std::unique_ptr<const Driver>> Driver::load() {
  const char *given = getenv("KTRT_CUDA_DRIVER");
  const char *path = given && *given ? given : "libcuda.so.1";
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL); // never closed: the driver keeps threads of its own
  if (!library)
    return failure("the CUDA driver cannot be loaded: %s", dlerror());
  static constexpr const char *names[] = {
#define KTRT_CUDA_NAME(member, name, parameters) name,
      KTRT_CUDA_FUNCTIONS(KTRT_CUDA_NAME)
#undef KTRT_CUDA_NAME
  };
  auto driver = std::make_unique<Driver>();
  void **slots[] = {
#define KTRT_CUDA_SLOT(member, name, parameters) reinterpret_cast<void **>(&driver->member),
      KTRT_CUDA_FUNCTIONS(KTRT_CUDA_SLOT)
#undef KTRT_CUDA_SLOT
  };
  for (size_t i = 0; i < std::size(names); ++i)
    if (!(*slots[i] = dlsym(library, names[i])))
      return failure("%s: the driver is too old (it has no %s); CUDA 12.0 or newer is needed", path, names[i]);
#define KTRT_CUDA_FIND(member, name, parameters)                                                               \
  *reinterpret_cast<void **>(&driver->member) = dlsym(library, name);
  KTRT_CUDA_NEWER_FUNCTIONS(KTRT_CUDA_FIND)
#undef KTRT_CUDA_FIND
  if (int result = driver->init(0); result == kNoDevice)
    return failure("%s: the driver finds no GPU", path);
  else if (kt::Status status = driver->check(result, names[0]); !status)
    return status.error();
  int version = 0;
  if (kt::Status status = driver->check(driver->driverGetVersion(&version), names[1]); !status)
    return status.error();
  if (version < kOldestVersion)
    return failure("%s: the driver is too old (CUDA %d.%d); CUDA 12.0 or newer is needed", path, version / 1000,
                   version % 1000 / 10);
  if (kt::Status status = applyGraphMode(*driver); !status)
    return status.error();
  return std::unique_ptr<const Driver>(std::move(driver));
}

kt::Status Driver::check(int result, const char *call) const {
  if (result == kSuccess)
    return {};
  const char *name = nullptr, *text = nullptr;
  getErrorName(result, &name);
  getErrorString(result, &text);
  return failure("%s failed: %s (%s)", call, name ? name : std::to_string(result).c_str(),
                 text ? text : "unknown to the driver");
}

} // namespace ktrt::cuda
