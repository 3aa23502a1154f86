// What this machine has: read from the system, and measured on request.
#include "compiler/probe/probe.h"

#include "compiler/cost/assumed_rates.h"
#include "compiler/probe/measure.h"
#include "compiler/probe/team.h"
#include "compiler/probe/topology.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <string>

namespace ktc {

using policy::CpuMachine;
using policy::Machine;

namespace {

std::string cpuModel() {
  std::ifstream stream("/proc/cpuinfo");
  for (std::string line; std::getline(stream, line);)
    if (line.rfind("model name", 0) == 0 && line.find(": ") != std::string::npos)
      return line.substr(line.find(": ") + 2);
  return "unknown";
}

// Operations per cycle and core that a level's instructions allow, about what real kernels reach (half of
// peak).
double assumedOpsPerCycle(const std::string &isa) {
  return isa == "amx" ? 1024 : isa == "avx512" ? 256 : isa == "avx2vnni" ? 128 : 64;
}

void detectCpu(CpuMachine &cpu, const Topology &topology) {
  cpu.model = cpuModel();
  cpu.isa = detectIsa();
  cpu.threads = static_cast<int>(topology.cpus.size());
  cpu.cores = static_cast<int>(std::max<size_t>(topology.cores.size(), 1));
  cpu.numa = topology.nodes;
  cpu.numaNodes = std::max(1, static_cast<int>(topology.nodes.size()));
  cpu.memoryBytes = topology.memoryBytes;
  cpu.cacheBytes = topology.cacheBytes;
}

// The first `count` cores.
std::vector<int> some(const std::vector<int> &cores, size_t count) {
  return {cores.begin(), cores.begin() + static_cast<std::ptrdiff_t>(std::min(count, cores.size()))};
}

class Prober {
public:
  Prober(const ProbeOptions &options, const Topology &topology, CpuMachine &cpu)
      : options(options), cores(topology.cores), cpu(cpu) {
    bytes = options.bufferBytes;
    for (uint64_t free = readMeminfo("/proc/meminfo", "MemAvailable:"); free && bytes > free / 6;)
      bytes /= 2;
  }

  void run() {
    cpu.barrierLatency = measureBarrier(cores, options.seconds / 2);
    for (const std::string &isa : cpu.isa) {
      cpu.int8Ops[isa] = measureInt8(isa, cores, options.seconds / 4);
      if (double ops = measureBf16(isa, cores, options.seconds / 4))
        cpu.bf16Ops[isa] = ops;
    }
    for (size_t threads : {size_t{1}, cores.size() / 2, cores.size()})
      if (threads > 0 && (cpu.bandwidth.empty() || static_cast<size_t>(cpu.bandwidth.back().threads) < threads))
        cpu.bandwidth.push_back({static_cast<int>(threads), 0, 0, 0});
    reading();
    const policy::BandwidthPoint &all = cpu.bandwidth.back();
    cpu.readBandwidth = std::max({all.file, all.small, all.huge});
    nodes();
  }

private:
  ProbeContext context(const Buffer &buffer, bool prefetch) const {
    return {
        cores, buffer, options.seconds / 16, cpu.barrierLatency, prefetch, std::vector<size_t>(cores.size())};
  }

  // Everything that reads memory. Weights that stay in their file are read from its pages.
  void reading() {
    const Buffer file(bytes, Pages::File, cores);
    read(file, &policy::BandwidthPoint::file);
    read(Buffer(bytes, Pages::Small, cores), &policy::BandwidthPoint::small);
    const Buffer huge(bytes, Pages::Huge, cores);
    read(huge, &policy::BandwidthPoint::huge);
    if (options.kernels && !cpu.isa.empty())
      kernels(file, huge);
  }

  void read(const Buffer &buffer, double policy::BandwidthPoint::*rate) {
    for (policy::BandwidthPoint &point : cpu.bandwidth)
      point.*rate = measureRead(buffer, some(cores, point.threads), options.seconds / 4);
  }

  // First what kernels gain from, then their rates with it.
  void kernels(const Buffer &file, const Buffer &huge) {
    const std::string &best = cpu.isa.back();
    cpu.prefetchGain = measureStreamGain(context(file, false), context(file, true), best);
    const bool prefetch = cpu.usesPrefetch();
    cpu.hugePagesGain = measureStreamGain(context(file, prefetch), context(huge, prefetch), best);
    const bool copies = cpu.hugePagesGain >= policy::kHugePagesGain;
    cpu.weightPages = copies ? "huge" : "file";
    const ProbeContext shared = context(copies ? huge : file, prefetch);
    for (const std::string &isa : cpu.isa)
      measureFormats(shared, isa, cpu);
    measureFamilies(shared, best, cpu);
  }

  // Bandwidth of each node from its own cores; on one node it is the machine's.
  void nodes() {
    for (policy::NumaNode &node : cpu.numa) {
      std::vector<int> own;
      std::set_intersection(node.cpus.begin(), node.cpus.end(), cores.begin(), cores.end(),
                            std::back_inserter(own));
      if (own.size() == cores.size()) {
        node.bandwidth = cpu.readBandwidth;
      } else if (!own.empty()) {
        Buffer buffer(bytes, Pages::Huge, own);
        node.bandwidth = measureRead(buffer, own, options.seconds / 4);
      }
    }
  }

  const ProbeOptions &options;
  const std::vector<int> &cores;
  CpuMachine &cpu;
  uint64_t bytes = 0;
};

} // namespace

double measureBarrier(const std::vector<int> &cpus, double seconds) {
  using Clock = std::chrono::steady_clock;
  constexpr int kRounds = 500;
  if (cpus.size() < 2)
    return 0;
  SpinBarrier barrier(static_cast<int>(cpus.size()));
  double best = 1;
  bool done = false;
  runTogether(cpus, [&](int thread) {
    const auto start = Clock::now();
    // Short groups of rounds: on a loaded machine one round can take a time slice, but not every one does.
    while (!done) {
      const auto begin = Clock::now();
      for (int round = 0; round < kRounds; ++round)
        barrier.wait();
      if (thread == 0) {
        const auto now = Clock::now();
        best = std::min(best, std::chrono::duration<double>(now - begin).count() / kRounds);
        done = std::chrono::duration<double>(now - start).count() > seconds;
      }
      barrier.wait();
    }
  });
  return best;
}

Machine detectMachine() {
  Machine machine;
  detectCpu(machine.cpu, readTopology());
  // Assumed besides: 2.5 GHz, 2 µs per barrier.
  CpuMachine &cpu = machine.cpu;
  cpu.readBandwidth = assumedBandwidth(cpu.cores, cpu.numaNodes);
  cpu.barrierLatency = cpu.cores > 1 ? 2e-6 : 0;
  for (const std::string &isa : cpu.isa)
    cpu.int8Ops[isa] = assumedOpsPerCycle(isa) * 2.5e9 * cpu.cores;
  machine.gpus = detectGpus(false);
  return machine;
}

Machine probeMachine(const ProbeOptions &options) {
  Machine machine;
  machine.measured = true;
  const Topology topology = readTopology();
  detectCpu(machine.cpu, topology);
  Prober(options, topology, machine.cpu).run();
  if (options.gpus)
    machine.gpus = detectGpus(true);
  return machine;
}

} // namespace ktc
