// What this machine has: read from the system, and measured on request.
#include "compiler/probe/probe.h"

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
    for (uint64_t free = readMeminfo("/proc/meminfo", "MemAvailable:"); free && bytes > free / 3;)
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
    mapped();
    anonymous();
    choose();
    nodes();
  }

private:
  ProbeContext context(const Buffer &buffer) const {
    return {cores, buffer, options.seconds / 16, cpu.barrierLatency, std::vector<size_t>(cores.size())};
  }
  bool measuresKernels() const { return options.kernels && !cpu.isa.empty(); }

  void anonymous() {
    for (Pages pages : {Pages::Small, Pages::Huge}) {
      Buffer buffer(bytes, pages, cores);
      for (policy::BandwidthPoint &point : cpu.bandwidth)
        (pages == Pages::Small ? point.small : point.huge) =
            measureRead(buffer, some(cores, point.threads), 0, options.seconds / 4);
      if (pages == Pages::Huge && measuresKernels())
        hugeStream = measureStream(context(buffer), cpu.isa.back());
    }
  }

  // Everything that reads as weights are read: from pages of a file.
  void mapped() {
    Buffer buffer(bytes, Pages::File, cores);
    for (policy::BandwidthPoint &point : cpu.bandwidth)
      point.file = measureRead(buffer, some(cores, point.threads), 0, options.seconds / 4);
    prefetch(buffer);
    if (!measuresKernels())
      return;
    const ProbeContext shared = context(buffer);
    for (const std::string &isa : cpu.isa)
      measureFormats(shared, isa, cpu);
    measureFamilies(shared, cpu.isa.back(), cpu);
    fileStream = measureStream(shared, cpu.isa.back());
  }

  // A distance counts only if it gains clearly: 3 %, more than two equal measurements differ.
  void prefetch(const Buffer &buffer) {
    double best = measureRead(buffer, cores, 0, options.seconds / 4) * 1.03;
    cpu.prefetchBytes = 0;
    for (int distance : {1024, 4096})
      if (double rate = measureRead(buffer, cores, distance, options.seconds / 4); rate > best) {
        best = rate;
        cpu.prefetchBytes = distance;
      }
  }

  // What weights are read from fastest, by kernels if they were measured.
  void choose() {
    const policy::BandwidthPoint &all = cpu.bandwidth.back();
    cpu.readBandwidth = std::max({all.file, all.small, all.huge});
    double file = fileStream > 0 ? fileStream : all.file, huge = fileStream > 0 ? hugeStream : all.huge;
    cpu.hugePagesGain = file > 0 ? huge / file : 0;
    cpu.weightPages = cpu.hugePagesGain > 1.05 ? "huge" : "file";
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
        node.bandwidth = measureRead(buffer, own, 0, options.seconds / 4);
      }
    }
  }

  const ProbeOptions &options;
  const std::vector<int> &cores;
  CpuMachine &cpu;
  uint64_t bytes = 0;
  double fileStream = 0, hugeStream = 0; // bytes/s of kernels, from either kind of page
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
  // Stated assumptions: 10 GB/s per core up to 200 GB/s per NUMA node, 2.5 GHz, 2 µs per barrier.
  CpuMachine &cpu = machine.cpu;
  cpu.readBandwidth = std::min(10e9 * cpu.cores, 200e9 * cpu.numaNodes);
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
