// Cores, hardware threads, NUMA nodes and caches of this machine, as far as this process may use them.
#pragma once

#include "compiler/policy/machine.h"

#include <cstdint>
#include <string>
#include <vector>

namespace ktc {

struct Topology {
  std::vector<int> cpus;               // CPUs that this process may use, ascending
  std::vector<int> cores;              // of each physical core the first of them, ascending
  std::vector<policy::NumaNode> nodes; // with at least one of `cpus`; bandwidth unknown. Empty without sysfs
  uint64_t cacheBytes = 0;             // last-level caches of `cores` together; 0: unknown
  uint64_t memoryBytes = 0;            // 0: unknown
};

// Reads the affinity mask and sysfs. `root` replaces "/" in front of sys and proc (for tests). Never fails:
// what the system does not say is left out, and without sysfs every CPU counts as a core.
Topology readTopology(const std::string &root = "");
// As above with a given affinity mask (ascending, not empty).
Topology readTopology(const std::string &root, const std::vector<int> &allowed);

// Bytes of a line such as `MemAvailable:   1234 kB` in a file like /proc/meminfo; 0 if there is none.
uint64_t readMeminfo(const std::string &file, const std::string &key);

} // namespace ktc
