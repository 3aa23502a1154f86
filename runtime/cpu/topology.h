// Which logical CPUs the team should use: one per physical core that this process may run on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ktrt {

// What the process may use.
struct CpuTopology {
  std::vector<uint32_t> cores;              // one allowed logical CPU of each physical core, ascending
  std::vector<std::vector<uint32_t>> nodes; // logical CPUs of each memory node that has any; empty if unknown
  std::vector<uint32_t> siblings;           // allowed logical CPUs that share a core with one of `cores`
  uint32_t quota = 0;                       // whole CPUs of the cgroup's time quota; 0 = unlimited
};

// Reads affinity mask, sysfs topology and cgroup quota. `root` replaces "/" in front of sys and proc (for
// tests). Never fails: without sysfs every allowed CPU counts as a core.
CpuTopology readTopology(const std::string &root = "");

// As above with a given affinity mask.
CpuTopology readTopology(const std::string &root, const std::vector<uint32_t> &allowed);

// Logical CPUs for a team of `threads` threads: cores first, then siblings, then from the start again. 0
// threads means as many as there are cores, at most the quota. With `nodes` above 1 the i-th part of the
// threads is on the i-th memory node, as far as the machine has that many nodes and enough CPUs on each.
std::vector<uint32_t> teamCpus(const CpuTopology &topology, uint32_t threads, uint32_t nodes = 1);

// The threads of a team of `threads` that belong to part `node` of `nodes`: those with thread * nodes / threads
// == node. They are neighbours.
struct ThreadRange {
  uint32_t first, count;
};
ThreadRange nodeThreads(uint32_t threads, uint32_t node, uint32_t nodes);

// True if a logical CPU appears twice: threads that spin there steal time from those they wait for.
bool cpusAreShared(std::vector<uint32_t> cpus);

} // namespace ktrt
