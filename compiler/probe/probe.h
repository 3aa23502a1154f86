// Describes this machine: by a quick look, or by measuring (`ktc probe`).
#pragma once

#include "compiler/policy/machine.h"

#include <cstdint>

namespace ktc {

// This machine without measuring: exact where the system says it, assumed rates elsewhere. Takes some ten
// milliseconds, more if a GPU driver has to start.
policy::Machine detectMachine();

struct ProbeOptions {
  double seconds = 1.0; // per measurement of a rate, at most; kernels take a sixteenth each
  uint64_t bufferBytes =
      1ull << 30; // for the read bandwidth; halved until a sixth of free memory holds it; up to three at a time
  bool gpus = true;
  bool kernels = true; // rates of generated kernels, by level and format: half a minute
};

// This machine measured: read bandwidth by threads and kind of page, int8 and bf16 rates of every ISA level
// that runs here, barrier latency, what kernels gain from prefetching and from huge pages, their rates, and for
// GPUs memory and PCIe bandwidth and, where NVRTC is found, what kernels in a CUDA graph take.
policy::Machine probeMachine(const ProbeOptions &options = {});

} // namespace ktc
