// Description of the machine that a plan is compiled for: what it has and how fast that is.
//
// Placement needs the devices and their memory; predictions need the rates. A description comes from a file
// (`--machine`), from measuring (`ktc probe`), or from a quick look at this machine without measuring; the last
// two are in compiler/probe.
#pragma once

#include "compiler/policy/diagnostics.h"
#include "runtime/abi/result.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ktc::policy {

// Read bandwidth with some number of threads, one per core, in bytes/s by kind of memory page.
struct BandwidthPoint {
  int threads = 1;
  double file = 0;  // a file mapping in the page cache: how linked weights are read
  double small = 0; // anonymous memory in pages of 4 KiB
  double huge = 0;  // anonymous memory in transparent huge pages, where the system grants them
};

// What kernels of one weight format reach at one ISA level with all cores. Weights and products (one weight
// times one activation) are counted per second, so that W weights times m tokens take W / weights + W * m /
// products.
struct FormatRates {
  double stream = 0;       // bytes/s of one token's product with weights from memory (pages: `weightPages`)
  double tileWeights = 0;  // small tiles, weights in cache
  double tileProducts = 0; // "
  double panelWeights = 0; // panels of many tokens; 0: the level has none for this format
  double panelProducts = 0;
};

// One NUMA node.
struct NumaNode {
  std::vector<int> cpus; // ascending
  uint64_t memoryBytes = 0;
  double bandwidth = 0; // bytes/s that its own cores read from its own memory
};

// Rates are per second and for the whole machine; 0 means unknown.
struct CpuMachine {
  std::string model;
  std::vector<std::string> isa; // levels that run here, weakest first: avx2, avx2vnni, avx512, amx
  int cores = 1;                // physical cores
  int threads = 1;              // hardware threads
  int numaNodes = 1;
  uint64_t memoryBytes = 0;
  uint64_t cacheBytes = 0;    // of the last level, all caches together
  std::vector<NumaNode> numa; // empty: not described
  double readBandwidth =
      0; // bytes/s, all cores reading a buffer much larger than the caches, best kind of page
  std::vector<BandwidthPoint> bandwidth; // ascending thread counts, the last with all cores
  std::string weightPages;               // "file" or "huge": what weights are read from fastest; "": unknown
  // What kernels gain on streaming Q4_K weights, as a ratio of rates; 0: unknown.
  double hugePagesGain = 0;   // from huge pages instead of the file mapping
  double prefetchGain = 0;    // with the kernel parameter `prefetch`
  double barrierLatency = 0;  // seconds for all cores to meet once
  double dispatchLatency = 0; // seconds that one streaming kernel costs beyond bytes / stream, barrier included
  std::map<std::string, double> int8Ops;     // by ISA level; a multiply-add counts as two
  std::map<std::string, double> bf16Ops;     // by ISA level
  std::map<std::string, int> panelCrossover; // by ISA level: fewest tokens for which panels beat tiles
  std::map<std::string, std::map<std::string, FormatRates>> formats; // by ISA level, then weight format
  // Items/s of one core by kernel family; what an item is, is said by ktc::workOf (compiler/cost/work.h).
  std::map<std::string, double> coreRates;

  int threadsPerCore() const { return threads > cores ? threads / cores : 1; }

  // Whether matrix kernels should prefetch: unless it was measured to gain less than 2 %.
  bool usesPrefetch() const { return prefetchGain <= 0 || prefetchGain >= 1.02; }
};

struct GpuMachine {
  std::string name;
  int sm = 0; // 90 is sm_90
  uint64_t memoryBytes = 0;
  double bandwidth = 0;    // bytes/s read from its own memory
  double h2dBandwidth = 0; // bytes/s from pinned host memory
  double d2hBandwidth = 0;
  double tensorOps = 0; // half-precision matrix operations; a multiply-add counts as two
  // Of kernels in a CUDA graph, one following the other.
  double weightStream = 0; // bytes/s of weights that matrix kernels of one token read
  double matrixLatency =
      0; // seconds of such a kernel beyond bytes / weightStream, from the end of the one before
  double kernelLatency = 0; // seconds of a small kernel, likewise
  double kernelGap = 0;     // seconds from the end of one kernel to the start of the next
  double handOver = 0;      // seconds from raising a signal until the other device goes on
};

// Least gain that copying weights into huge pages is worth.
inline constexpr double kHugePagesGain = 1.05;

struct Machine {
  bool measured = false; // false: rates are assumptions

  // Whether weights should be copied into huge pages: only where kernels were measured to gain 5 %, since the
  // copy costs memory and loading time. `weight_pages: file` rules it out.
  bool usesHugePages() const {
    return measured && cpu.hugePagesGain >= kHugePagesGain && cpu.weightPages != "file";
  }
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

// CPUs of `0-7,16`, the spelling of the system and of `numa` entries, ascending and each once. Fails on
// anything else, and on more than 8192 CPUs.
kt::Result<std::vector<int>> parseCpuList(std::string_view text);
// The same backwards.
std::string formatCpuList(const std::vector<int> &cpus);

// Bytes/s of `60GB/s`, `2.5e10` or `1.5TiB/s`; the `/s` may be left out.
kt::Result<double> parseBandwidth(std::string_view text);

} // namespace ktc::policy
