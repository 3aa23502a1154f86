// Entry point of the CUDA kernel generators: (family, parameters, SM) → the source of one translation unit and
// how to launch it.
//
// Kernels are templates in kernels/*.cuh; an instance includes one of them and instantiates it. Nothing is
// compiled here: NVRTC does that in compiler/schedule-to-kernels, and needs no GPU. No global state; safe to
// call from several threads at once.
#pragma once

#include "runtime/abi/result.hpp"
#include "templates/params.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace ktc::cuda {

// Largest grid of a launch, and the block that all its blocks have.
struct Launch {
  uint32_t gridX = 1, gridY = 1, gridZ = 1;
  uint32_t threads = 1;
  uint32_t sharedBytes = 0; // dynamic shared memory of a block
};

// One kernel to be compiled: `source` defines `kernel` (runtime/abi/kt_cuda.h) and includes headers().
struct Instance {
  std::string source;
  Launch launch;
};

// Compute capability: 80, 86, 89, 90, 100, 120. Generators may choose tiles by it.
struct Sm {
  uint32_t number = 80;
};

// Makes one kernel. Fails with a message when the family is unknown or a parameter is out of range.
kt::Result<Instance> instantiate(std::string_view family, const Params &params, Sm sm);

// True if GPU lanes have kernels of `family`.
bool hasFamily(std::string_view family);

// A file that instances include, as it is spelled in their #include.
struct Header {
  const char *name;
  const char *text;
};
std::span<const Header> headers();

} // namespace ktc::cuda
