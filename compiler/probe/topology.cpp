// sysfs and procfs; see topology.h.
#include "compiler/probe/topology.h"

#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

namespace ktc {

namespace {

std::string firstLine(const std::string &file) {
  std::ifstream stream(file);
  std::string line;
  std::getline(stream, line);
  return line;
}

std::vector<int> affinityMask() {
  constexpr int kMaxCpus = 8192;
  std::vector<int> cpus;
  cpu_set_t *set = CPU_ALLOC(kMaxCpus);
  if (set && sched_getaffinity(0, CPU_ALLOC_SIZE(kMaxCpus), set) == 0)
    for (int cpu = 0; cpu < kMaxCpus; ++cpu)
      if (CPU_ISSET_S(cpu, CPU_ALLOC_SIZE(kMaxCpus), set))
        cpus.push_back(cpu);
  if (set)
    CPU_FREE(set);
  for (int cpu = 0; cpus.empty() && cpu < static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
       ++cpu)
    cpus.push_back(cpu);
  return cpus;
}

// The CPUs of a list in a file that are in `allowed`; empty if the file says nothing.
std::vector<int> listed(const std::string &file, const std::vector<int> &allowed) {
  std::vector<int> cpus;
  if (kt::Result<std::vector<int>> list = policy::parseCpuList(firstLine(file)))
    std::set_intersection(list->begin(), list->end(), allowed.begin(), allowed.end(), std::back_inserter(cpus));
  return cpus;
}

// Bytes of `2048K` or `32M`.
uint64_t cacheSize(const std::string &text) {
  char *end = nullptr;
  uint64_t size = std::strtoull(text.c_str(), &end, 10);
  return *end == 'K' ? size << 10 : *end == 'M' ? size << 20 : size;
}

uint64_t lastLevelCaches(const std::string &root, const std::vector<int> &cores) {
  uint64_t bytes = 0;
  std::set<std::string> seen; // caches by the CPUs that share them
  for (int cpu : cores) {
    std::string best, key;
    int level = 0;
    for (int index = 0; index < 8; ++index) {
      std::string base = root + "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/cache/index" +
                         std::to_string(index) + "/";
      int found = std::atoi(firstLine(base + "level").c_str());
      if (found > level && firstLine(base + "type") != "Instruction") {
        level = found;
        best = firstLine(base + "size");
        key = firstLine(base + "shared_cpu_list");
      }
    }
    if (level && seen.insert(key.empty() ? std::to_string(cpu) : key).second)
      bytes += cacheSize(best);
  }
  return bytes;
}

std::vector<policy::NumaNode> readNodes(const std::string &root, const std::vector<int> &allowed) {
  std::vector<std::pair<int, policy::NumaNode>> nodes;
  std::error_code ignored;
  for (const auto &entry : std::filesystem::directory_iterator(root + "/sys/devices/system/node", ignored)) {
    std::string name = entry.path().filename();
    if (name.rfind("node", 0) != 0 || name.size() == 4 ||
        name.find_first_not_of("0123456789", 4) != std::string::npos)
      continue;
    policy::NumaNode node;
    node.cpus = listed(entry.path().string() + "/cpulist", allowed);
    node.memoryBytes = readMeminfo(entry.path().string() + "/meminfo", "MemTotal:");
    if (!node.cpus.empty())
      nodes.emplace_back(std::atoi(name.c_str() + 4), std::move(node));
  }
  std::sort(nodes.begin(), nodes.end(), [](const auto &a, const auto &b) { return a.first < b.first; });
  std::vector<policy::NumaNode> result;
  for (auto &[number, node] : nodes)
    result.push_back(std::move(node));
  return result;
}

} // namespace

uint64_t readMeminfo(const std::string &file, const std::string &key) {
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);)
    if (size_t at = line.find(key); at != std::string::npos)
      return std::strtoull(line.c_str() + at + key.size(), nullptr, 10) * 1024;
  return 0;
}

Topology readTopology(const std::string &root) { return readTopology(root, affinityMask()); }

Topology readTopology(const std::string &root, const std::vector<int> &allowed) {
  Topology topology;
  topology.cpus = allowed;
  for (int cpu : allowed) {
    std::vector<int> siblings = listed(
        root + "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list", allowed);
    if (siblings.empty() || siblings.front() == cpu)
      topology.cores.push_back(cpu);
  }
  topology.nodes = readNodes(root, allowed);
  topology.cacheBytes = lastLevelCaches(root, topology.cores);
  topology.memoryBytes = readMeminfo(root + "/proc/meminfo", "MemTotal:");
  return topology;
}

} // namespace ktc
