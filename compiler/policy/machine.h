// Description of the machine that a plan is compiled for: what it has and how fast that is.
//
// Placement needs the devices and their memory; predictions need the rates. A description comes from a file
// (`--machine`), from measuring (`ktc probe`), or from a quick look at this machine without measuring.
#pragma once

#include "compiler/policy/diagnostics.h"
#include "runtime/abi/result.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ktc::policy {

// Rates are per second and for the whole machine; 0 means unknown.
struct CpuMachine {
  std::string model;
  std::vector<std::string> isa; // levels that run here, weakest first: avx2, avx2vnni, avx512, amx
  int cores = 1;                // physical cores
  int threads = 1;              // hardware threads
  int numaNodes = 1;
  uint64_t memoryBytes = 0;
  double readBandwidth = 0;              // bytes/s, all cores reading a buffer much larger than the caches
  double barrierLatency = 0;             // seconds for all cores to meet once
  std::map<std::string, double> int8Ops; // by ISA level; a multiply-add counts as two
  std::map<std::string, double> bf16Ops; // by ISA level
};

struct GpuMachine {
  std::string name;
  int sm = 0; // 90 is sm_90
  uint64_t memoryBytes = 0;
  double bandwidth = 0;    // bytes/s read from its own memory
  double h2dBandwidth = 0; // bytes/s from pinned host memory
  double d2hBandwidth = 0;
  double tensorOps = 0; // half-precision matrix operations; a multiply-add counts as two
};

struct Machine {
  bool measured = false; // false: rates are assumptions
  CpuMachine cpu;
  std::vector<GpuMachine> gpus; // gpus[i] is cuda:i

  bool hasDevice(std::string_view device) const;
  const GpuMachine *gpu(std::string_view device) const; // of `cuda:N`, or NULL
};

// Parses a machine description. Everything found is added to `diagnostics`; fails if there is any error.
kt::Result<Machine> parseMachine(std::string_view text, const std::string &file, Diagnostics &diagnostics);
kt::Result<Machine> loadMachine(const std::string &file, Diagnostics &diagnostics);

// The description as YAML that parseMachine reads back.
std::string machineToYaml(const Machine &machine);

// This machine without measuring: exact where the system says it, assumed rates elsewhere. Takes some ten
// milliseconds, more if a GPU driver has to start.
Machine detectMachine();

struct ProbeOptions {
  double seconds = 1.0;              // per measurement, at most
  uint64_t bufferBytes = 1ull << 30; // for the read bandwidth; halved until a third of free memory holds it
  bool gpus = true;
};

// This machine measured (`ktc probe`): read bandwidth, int8 and bf16 rates of every ISA level that runs here,
// barrier latency, and for GPUs memory and PCIe bandwidth. Takes a few seconds.
Machine probeMachine(const ProbeOptions &options = {});

} // namespace ktc::policy
