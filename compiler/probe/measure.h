// Measurements behind probeMachine. Private to this folder.
#pragma once

#include "compiler/policy/machine.h"
#include "compiler/probe/memory.h"

#include <string>
#include <vector>

namespace ktc {

// Seconds for one spinning thread on each of `cpus` to pass a barrier once, the best average of some rounds
// within `seconds`.
double measureBarrier(const std::vector<int> &cpus, double seconds);

// Operations/s of int8 and bf16 multiply-adds of one ISA level (avx2, avx2vnni, avx512, amx) with a thread on
// each of `cpus`, operands in registers, within about `seconds`. 0 where the level has no such instructions.
double measureInt8(const std::string &isa, const std::vector<int> &cpus, double seconds);
double measureBf16(const std::string &isa, const std::vector<int> &cpus, double seconds);

// ISA levels that this CPU and its operating system run, weakest first. Asks the system for AMX.
std::vector<std::string> detectIsa();

// GPUs that the CUDA driver reports; empty without a driver. `measure`: also memory and PCIe bandwidth and
// kernels, else rates derived from clocks and widths.
std::vector<policy::GpuMachine> detectGpus(bool measure);

// What measurements of kernels share.
struct ProbeContext {
  const std::vector<int> &cpus;        // one per core
  const Buffer &weights;               // far larger than the caches
  double seconds = 0;                  // per measurement
  double barrier = 0;                  // seconds of a barrier of all `cpus`
  bool prefetch = true;                // matrix kernels prefetch, as those of plans for this machine will
  mutable std::vector<size_t> offsets; // where in its part of `weights` each thread reads next
};

// Fills the rates of every weight format at one ISA level, and its panel crossover.
void measureFormats(const ProbeContext &context, const std::string &isa, policy::CpuMachine &cpu);

// Rate of the kernels of one ISA level with one token and Q4_K weights that they stream as `to` says, over
// that as `from` says: the median of some measurements in alternation, so that a machine that gets faster or
// slower meanwhile disturbs little. 0 if it cannot be measured.
double measureStreamGain(const ProbeContext &from, const ProbeContext &to, const std::string &isa);

// Fills the rates of the other kernel families, and the start-up time of a dispatch, with kernels of one ISA
// level.
void measureFamilies(const ProbeContext &context, const std::string &isa, policy::CpuMachine &cpu);

} // namespace ktc
