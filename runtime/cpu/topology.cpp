// Affinity, SMT siblings and cgroup quota; see topology.h.
#include "runtime/cpu/topology.h"

#include "runtime/plan/message.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sched.h>

namespace ktrt {

// First `limit` bytes of a small file, or "".
static std::string readText(const std::string &path, size_t limit = 4096) {
  std::string text;
  if (FILE *file = fopen(path.c_str(), "re")) {
    text.resize(limit);
    text.resize(fread(text.data(), 1, limit, file));
    fclose(file);
  }
  return text;
}

static std::vector<uint32_t> affinityMask() {
  constexpr size_t maxCpus = 8192;
  std::vector<uint32_t> cpus;
  cpu_set_t *set = CPU_ALLOC(maxCpus);
  if (set && sched_getaffinity(0, CPU_ALLOC_SIZE(maxCpus), set) == 0)
    for (uint32_t i = 0; i < maxCpus; ++i)
      if (CPU_ISSET_S(i, CPU_ALLOC_SIZE(maxCpus), set))
        cpus.push_back(i);
  if (set)
    CPU_FREE(set);
  return cpus;
}

// CPUs of a sysfs list such as "0-3,8".
static std::vector<uint32_t> parseList(const std::string &list) {
  std::vector<uint32_t> cpus;
  const char *text = list.c_str();
  while (*text >= '0' && *text <= '9') {
    char *end;
    unsigned long first = strtoul(text, &end, 10), last = first;
    if (*end == '-')
      last = strtoul(end + 1, &end, 10);
    for (unsigned long cpu = first; cpu <= last && cpu < 65536; ++cpu)
      cpus.push_back(uint32_t(cpu));
    text = *end == ',' ? end + 1 : end;
  }
  return cpus;
}

// First CPU of a sysfs list that is in `allowed`; `fallback` if there is none.
static uint32_t firstAllowed(const std::string &list, const std::vector<uint32_t> &allowed, uint32_t fallback) {
  for (uint32_t cpu : parseList(list))
    if (std::binary_search(allowed.begin(), allowed.end(), cpu))
      return cpu;
  return fallback;
}

// CPUs of every memory node. Nodes without CPUs are left out; gaps in the numbers end the list.
static std::vector<std::vector<uint32_t>> readNodes(const std::string &root) {
  std::vector<std::vector<uint32_t>> nodes;
  for (uint32_t node = 0;; ++node) {
    std::string path = formatText("%s/sys/devices/system/node/node%u/cpulist", root.c_str(), node);
    std::string list = readText(path);
    if (list.empty())
      return nodes;
    if (std::vector<uint32_t> cpus = parseList(list); !cpus.empty())
      nodes.push_back(std::move(cpus));
  }
}

// Whole CPUs of a v2 "max period" pair; 0 if unlimited or unreadable.
static uint32_t wholeCpus(long long quota, long long period) {
  if (quota <= 0 || period <= 0)
    return 0;
  return uint32_t(std::max(1ll, quota / period));
}

// Tightest quota of the process's cgroup and all its ancestors (v2), or of the v1 cpu controller.
static uint32_t cgroupQuota(const std::string &root) {
  uint32_t quota = 0;
  auto tighten = [&](uint32_t cpus) {
    if (cpus != 0 && (quota == 0 || cpus < quota))
      quota = cpus;
  };
  std::string groups = readText(root + "/proc/self/cgroup");
  std::string group;
  size_t v2 = groups.compare(0, 3, "0::") == 0 ? 0 : groups.find("\n0::");
  if (v2 != std::string::npos) {
    size_t begin = groups.find("0::", v2) + 3;
    group = groups.substr(begin, groups.find('\n', begin) - begin);
  }
  if (group == "/")
    group.clear();
  for (;;) {
    long long limit, period;
    if (sscanf(readText(root + "/sys/fs/cgroup" + group + "/cpu.max").c_str(), "%lld %lld", &limit, &period) ==
        2)
      tighten(wholeCpus(limit, period));
    size_t slash = group.rfind('/');
    if (group.empty() || slash == std::string::npos)
      break;
    group.resize(slash);
  }
  std::string v1 = root + "/sys/fs/cgroup/cpu/";
  tighten(wholeCpus(atoll(readText(v1 + "cpu.cfs_quota_us").c_str()),
                    atoll(readText(v1 + "cpu.cfs_period_us").c_str())));
  return quota;
}

CpuTopology readTopology(const std::string &root) { return readTopology(root, affinityMask()); }

CpuTopology readTopology(const std::string &root, const std::vector<uint32_t> &allowed) {
  CpuTopology topology;
  for (uint32_t cpu : allowed) {
    std::string list = readText(
        formatText("%s/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", root.c_str(), cpu));
    bool first = firstAllowed(list, allowed, cpu) == cpu;
    (first ? topology.cores : topology.siblings).push_back(cpu);
  }
  if (topology.cores.empty())
    topology.cores.push_back(0);
  topology.nodes = readNodes(root);
  topology.quota = cgroupQuota(root);
  return topology;
}

// CPUs of `part` of `nodes` equal parts of a team, cores first; empty if the machine has no such node.
static std::vector<uint32_t> nodeOrder(const std::vector<uint32_t> &order, const CpuTopology &topology,
                                       uint32_t part) {
  std::vector<uint32_t> cpus;
  if (part < topology.nodes.size())
    for (uint32_t cpu : order)
      if (std::find(topology.nodes[part].begin(), topology.nodes[part].end(), cpu) !=
          topology.nodes[part].end())
        cpus.push_back(cpu);
  return cpus;
}

std::vector<uint32_t> teamCpus(const CpuTopology &topology, uint32_t threads, uint32_t nodes) {
  if (threads == 0) {
    threads = uint32_t(topology.cores.size());
    if (topology.quota != 0)
      threads = std::min(threads, topology.quota);
  }
  std::vector<uint32_t> order = topology.cores, cpus;
  order.insert(order.end(), topology.siblings.begin(), topology.siblings.end());
  for (uint32_t part = 0; nodes > 1 && part < nodes; ++part) {
    std::vector<uint32_t> own = nodeOrder(order, topology, part);
    size_t wanted = nodeThreads(threads, part, nodes).count;
    if (own.size() < wanted) {
      cpus.clear(); // not the machine of the plan: any CPU is as good as another
      break;
    }
    cpus.insert(cpus.end(), own.begin(), own.begin() + ptrdiff_t(wanted));
  }
  for (size_t i = 0; cpus.size() < threads; ++i)
    cpus.push_back(order[i % order.size()]);
  return cpus;
}

ThreadRange nodeThreads(uint32_t threads, uint32_t node, uint32_t nodes) {
  auto firstOf = [&](uint64_t part) { return uint32_t((uint64_t(threads) * part + nodes - 1) / nodes); };
  return {firstOf(node), firstOf(uint64_t(node) + 1) - firstOf(node)};
}

bool cpusAreShared(std::vector<uint32_t> cpus) {
  std::sort(cpus.begin(), cpus.end());
  return std::adjacent_find(cpus.begin(), cpus.end()) != cpus.end();
}

} // namespace ktrt
