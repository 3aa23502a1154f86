// The CUDA driver for tests and tools of kernels: the runtime's table, what only they call, and the first GPU.
#pragma once

#include "runtime/cuda/driver.h"

namespace ktc::test {

using DevicePointer = ktrt::cuda::DeviceAddress;

struct Driver {
  const ktrt::cuda::Driver &table;

  // Functions that the runtime does not call, as the driver's documentation specifies them.
  int (*primaryReset)(int device);
  int (*toHost)(void *to, DevicePointer from, size_t bytes);
  int (*launch)(ktrt::cuda::Function function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                unsigned blockY, unsigned blockZ, unsigned sharedBytes, ktrt::cuda::Stream stream,
                void **parameters, void **extra);
  int (*synchronize)();
  int (*eventElapsed)(float *milliseconds, ktrt::cuda::Event start, ktrt::cuda::Event end);

  int device = 0;
  int major = 0, minor = 0; // compute capability

  // Copies on the default stream.
  int toDevice(DevicePointer to, const void *from, size_t bytes) const {
    return table.copyToDevice(to, from, bytes, nullptr);
  }
  // Success, or an error that begins with `what`.
  kt::Status check(int code, const std::string &what) const { return table.check(code, what.c_str()); }
};

// Opens the driver and makes the GPU's context current for this thread. The error says what is missing.
kt::Result<const Driver *> driver();

// After an error that leaves the context unusable (an illegal address, for one): the next driver() starts with
// a new one.
void resetDriver();

} // namespace ktc::test
