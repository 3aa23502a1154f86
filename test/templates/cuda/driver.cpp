// Loading of libcuda; see the header.
#include "test/templates/cuda/driver.h"

#include <dlfcn.h>

namespace ktc::test {

constexpr int AttributeMajor = 75, AttributeMinor = 76; // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*

kt::Status Driver::check(int code, const std::string &what) const {
  if (code == 0)
    return {};
  const char *name = nullptr, *text = nullptr;
  errorName(code, &name);
  errorString(code, &text);
  return kt::Error{what + ": " + (name ? name : std::to_string(code)) + ": " + (text ? text : "unknown error")};
}

static kt::Result<Driver> openDriver() {
  void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return kt::Error{std::string("no CUDA driver: ") + dlerror()};
  Driver table = {};
  std::string missing;
  auto symbol = [&](auto &function, const char *name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    if (!function)
      missing = name;
  };
  symbol(table.init, "cuInit");
  symbol(table.deviceGet, "cuDeviceGet");
  symbol(table.deviceGetAttribute, "cuDeviceGetAttribute");
  symbol(table.primaryRetain, "cuDevicePrimaryCtxRetain");
  symbol(table.primaryReset, "cuDevicePrimaryCtxReset_v2");
  symbol(table.setCurrent, "cuCtxSetCurrent");
  symbol(table.memAlloc, "cuMemAlloc_v2");
  symbol(table.memFree, "cuMemFree_v2");
  symbol(table.toDevice, "cuMemcpyHtoD_v2");
  symbol(table.toHost, "cuMemcpyDtoH_v2");
  symbol(table.moduleLoad, "cuModuleLoadData");
  symbol(table.moduleUnload, "cuModuleUnload");
  symbol(table.moduleFunction, "cuModuleGetFunction");
  symbol(table.functionSetAttribute, "cuFuncSetAttribute");
  symbol(table.launch, "cuLaunchKernel");
  symbol(table.synchronize, "cuCtxSynchronize");
  symbol(table.eventCreate, "cuEventCreate");
  symbol(table.eventRecord, "cuEventRecord");
  symbol(table.eventElapsed, "cuEventElapsedTime");
  symbol(table.errorName, "cuGetErrorName");
  symbol(table.errorString, "cuGetErrorString");
  if (!missing.empty())
    return kt::Error{"the CUDA driver has no function " + missing};
  if (kt::Status status = table.check(table.init(0), "cuInit"); !status)
    return status.error();
  if (kt::Status status = table.check(table.deviceGet(&table.device, 0), "the first GPU"); !status)
    return status.error();
  table.deviceGetAttribute(&table.major, AttributeMajor, table.device);
  table.deviceGetAttribute(&table.minor, AttributeMinor, table.device);
  return table;
}

static kt::Result<Driver> &theDriver() {
  static kt::Result<Driver> opened = openDriver();
  return opened;
}
static bool broken = false;

kt::Result<const Driver *> driver() {
  kt::Result<Driver> &opened = theDriver();
  if (!opened)
    return opened.error();
  if (broken)
    opened->primaryReset(opened->device);
  broken = false;
  thread_local void *context = nullptr;
  if (!context)
    if (kt::Status status = opened->check(opened->primaryRetain(&context, opened->device), "the GPU's context");
        !status)
      return status.error();
  if (kt::Status status = opened->check(opened->setCurrent(context), "the GPU's context"); !status)
    return status.error();
  return &*opened;
}

void resetDriver() { broken = true; }

} // namespace ktc::test
