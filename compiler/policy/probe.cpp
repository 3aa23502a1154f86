// What this machine has: read from the system, and measured on request.
#include "compiler/policy/probe.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>

namespace ktc::policy {
namespace {

using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string firstLine(const std::filesystem::path &file) {
  std::ifstream stream(file);
  std::string line;
  std::getline(stream, line);
  return line;
}

// Counts entries like cpu0, cpu17 or node1 in a sysfs folder; at least 1.
int countNumbered(const char *folder, const std::string &prefix) {
  int count = 0;
  std::error_code ignored;
  for (const auto &entry : std::filesystem::directory_iterator(folder, ignored)) {
    std::string name = entry.path().filename();
    if (name.rfind(prefix, 0) == 0 && name.size() > prefix.size() &&
        name.find_first_not_of("0123456789", prefix.size()) == std::string::npos)
      ++count;
  }
  return std::max(count, 1);
}

// Physical cores among the CPUs that this process may use.
int countCores(int threads) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
    return threads;
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed)) {
      std::string base = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
      std::string core = firstLine(base + "core_id");
      if (core.empty())
        return threads;
      cores.insert(firstLine(base + "physical_package_id") + ":" + core);
    }
  return std::max<int>(static_cast<int>(cores.size()), 1);
}

std::string cpuModel() {
  std::ifstream stream("/proc/cpuinfo");
  for (std::string line; std::getline(stream, line);)
    if (line.rfind("model name", 0) == 0 && line.find(": ") != std::string::npos)
      return line.substr(line.find(": ") + 2);
  return "unknown";
}

uint64_t memoryOf(const char *key) {
  std::ifstream stream("/proc/meminfo");
  for (std::string line; std::getline(stream, line);)
    if (line.rfind(key, 0) == 0)
      return std::strtoull(line.c_str() + std::strlen(key), nullptr, 10) * 1024;
  return 0;
}

// Operations per cycle and core that a level's instructions allow, about what real kernels reach (half of
// peak).
double assumedOpsPerCycle(const std::string &isa) {
  return isa == "amx" ? 1024 : isa == "avx512" ? 256 : isa == "avx2vnni" ? 128 : 64;
}

void detectCpu(CpuMachine &cpu) {
  cpu.model = cpuModel();
  cpu.isa = detectIsa();
  cpu.threads = std::max(1u, std::thread::hardware_concurrency());
  cpu.cores = countCores(cpu.threads);
  cpu.numaNodes = countNumbered("/sys/devices/system/node", "node");
  cpu.memoryBytes = memoryOf("MemTotal:");
}

} // namespace

double runTogether(int threads, const std::function<void(int)> &body) {
  // The threads take the times: on a loaded machine this one may run again only when they are done.
  std::vector<Clock::time_point> starts(threads), ends(threads);
  std::barrier start(threads);
  std::vector<std::thread> team;
  for (int t = 0; t < threads; ++t)
    team.emplace_back([&, t] {
      start.arrive_and_wait();
      starts[t] = Clock::now();
      body(t);
      ends[t] = Clock::now();
    });
  for (std::thread &thread : team)
    thread.join();
  auto taken = *std::max_element(ends.begin(), ends.end()) - *std::min_element(starts.begin(), starts.end());
  return std::max(std::chrono::duration<double>(taken).count(), 1e-9);
}

double measureBarrier(int threads, double seconds) {
  constexpr int kRounds = 20'000;
  if (threads < 2)
    return 0;
  std::atomic<int> arrived{0}, round{0};
  std::atomic<int> done{0};
  double taken = runTogether(threads, [&](int) {
    Clock::time_point begin = Clock::now();
    for (int r = 0; r < kRounds; ++r) {
      if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == threads) {
        arrived.store(0, std::memory_order_relaxed);
        // The last one to arrive decides for all when time is up: on a loaded machine a round can take a time
        // slice.
        bool late = secondsSince(begin) > seconds;
        done.store(r + 1, std::memory_order_relaxed);
        round.store(late ? kRounds : r + 1, std::memory_order_release);
      } else {
        for (int spins = 0; round.load(std::memory_order_acquire) <= r; ++spins)
          if (spins > 10'000)
            std::this_thread::yield();
      }
      if (round.load(std::memory_order_relaxed) == kRounds)
        break;
    }
  });
  return done > 0 ? taken / done : 0;
}

Machine detectMachine() {
  Machine machine;
  detectCpu(machine.cpu);
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
  detectCpu(machine.cpu);
  CpuMachine &cpu = machine.cpu;
  uint64_t bytes = options.bufferBytes, free = memoryOf("MemAvailable:");
  while (free && bytes > free / 3)
    bytes /= 2;
  cpu.readBandwidth = measureReadBandwidth(cpu.cores, bytes, options.seconds);
  cpu.barrierLatency = measureBarrier(cpu.cores, options.seconds / 2);
  for (const std::string &isa : cpu.isa) {
    cpu.int8Ops[isa] = measureInt8(isa, cpu.cores, options.seconds / 4);
    if (double ops = measureBf16(isa, cpu.cores, options.seconds / 4))
      cpu.bf16Ops[isa] = ops;
  }
  if (options.gpus)
    machine.gpus = detectGpus(true);
  return machine;
}

} // namespace ktc::policy
