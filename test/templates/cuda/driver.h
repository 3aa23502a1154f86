// The part of the CUDA driver that tests and tools of kernels use, opened by dlopen: context, memory, modules,
// launches and events of the first GPU.
#pragma once

#include "runtime/abi/result.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

namespace ktc::test {

using DevicePointer = uint64_t;

// Functions of libcuda as its documentation specifies them; all return 0 for success.
struct Driver {
  int (*init)(unsigned flags);
  int (*deviceGet)(int *device, int ordinal);
  int (*deviceGetAttribute)(int *value, int attribute, int device);
  int (*primaryRetain)(void **context, int device);
  int (*primaryReset)(int device);
  int (*setCurrent)(void *context);
  int (*memAlloc)(DevicePointer *address, size_t bytes);
  int (*memFree)(DevicePointer address);
  int (*toDevice)(DevicePointer to, const void *from, size_t bytes);
  int (*toHost)(void *to, DevicePointer from, size_t bytes);
  int (*moduleLoad)(void **module, const void *image);
  int (*moduleUnload)(void *module);
  int (*moduleFunction)(void **function, void *module, const char *name);
  int (*functionSetAttribute)(void *function, int attribute, int value);
  int (*launch)(void *function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                unsigned blockY, unsigned blockZ, unsigned sharedBytes, void *stream, void **parameters,
                void **extra);
  int (*synchronize)();
  int (*eventCreate)(void **event, unsigned flags);
  int (*eventRecord)(void *event, void *stream);
  int (*eventElapsed)(float *milliseconds, void *start, void *end);
  int (*errorName)(int code, const char **name);
  int (*errorString)(int code, const char **text);

  int device = 0;
  int major = 0, minor = 0; // compute capability

  // Success, or an error `what: CUDA_ERROR_…: explanation`.
  kt::Status check(int code, const std::string &what) const;
};

// Opens the driver and makes the GPU's context current for this thread. The error says what is missing.
kt::Result<const Driver *> driver();

// After an error that leaves the context unusable (an illegal address, for one): the next driver() starts with
// a new one.
void resetDriver();

} // namespace ktc::test
