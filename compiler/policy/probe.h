// Measurements behind probeMachine. Private to this folder.
#pragma once

#include "compiler/policy/machine.h"

#include <functional>

namespace ktc::policy {

// Runs `body(thread)` on `threads` threads at once and returns the seconds from the first start to the last
// end.
double runTogether(int threads, const std::function<void(int)> &body);

// Bytes/s that `threads` threads read from one buffer of `bytes` bytes, best of several passes within
// `seconds`. 0 if the buffer cannot be allocated.
double measureReadBandwidth(int threads, uint64_t bytes, double seconds);

// Seconds for `threads` spinning threads to pass a barrier once, averaged over at most `seconds`.
double measureBarrier(int threads, double seconds);

// Operations/s of int8 and bf16 multiply-adds of one ISA level (avx2, avx2vnni, avx512, amx) on `threads`
// threads, operands in registers, within about `seconds`. 0 where the level has no such instructions.
double measureInt8(const std::string &isa, int threads, double seconds);
double measureBf16(const std::string &isa, int threads, double seconds);

// ISA levels that this CPU and its operating system run, weakest first.
std::vector<std::string> detectIsa();

// GPUs that the CUDA driver reports; empty without a driver. `measure`: also memory and PCIe bandwidth, else
// rates derived from clocks and widths.
std::vector<GpuMachine> detectGpus(bool measure);

} // namespace ktc::policy
