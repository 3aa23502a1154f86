// What GPU code is compiled for: machine code of one SM, or PTX that the driver compiles for any later one.
#pragma once

#include "runtime/abi/result.hpp"
#include "templates/cuda/cuda.h"

#include <span>
#include <string_view>

namespace ktc::cuda {

struct Target {
  std::string_view name; // of KernelVariant.isa and of NVRTC's -arch: "sm_90a", "compute_80"
  Sm sm;                 // that kernels are made for
  uint32_t
      sharedBytes;  // that a block may have, by the table of compute capabilities in CUDA's programming guide
  bool ptx = false; // the image is PTX text

  bool operator==(const Target &other) const { return name == other.name; }
};

// All targets, by rising SM; compute_80 last.
std::span<const Target> targets();

// The target called `name`; "sm_90" means sm_90a. Errors name the known ones.
kt::Result<Target> parseTarget(std::string_view name);

// The target whose code runs on a GPU of compute capability `major`.`minor`: its own SM, else the highest of
// the same major below it, else PTX. Errors: a GPU before 8.0.
kt::Result<Target> targetFor(int major, int minor);

} // namespace ktc::cuda
