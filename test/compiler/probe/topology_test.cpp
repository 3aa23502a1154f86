// Cores, nodes and caches from a described sysfs.
#include "compiler/probe/topology.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <unistd.h>

namespace ktc {
namespace {

class TopologyTest : public ::testing::Test {
protected:
  void SetUp() override {
    root = (std::filesystem::temp_directory_path() / ("kt-topology-" + std::to_string(getpid()))).string();
    std::filesystem::remove_all(root);
  }
  void TearDown() override { std::filesystem::remove_all(root); }
  void write(const std::string &path, const std::string &text) {
    std::filesystem::create_directories(std::filesystem::path(root + path).parent_path());
    std::ofstream(root + path) << text << "\n";
  }
  std::string root;
};

TEST_F(TopologyTest, TwoNodesWithHardwareThreads) {
  for (int cpu = 0; cpu < 8; ++cpu) {
    std::string base = "/sys/devices/system/cpu/cpu" + std::to_string(cpu);
    write(base + "/topology/thread_siblings_list", std::to_string(cpu % 4) + "," + std::to_string(cpu % 4 + 4));
    write(base + "/cache/index0/level", "1");
    write(base + "/cache/index0/size", "48K");
    write(base + "/cache/index3/level", "3");
    write(base + "/cache/index3/size", "32768K");
    write(base + "/cache/index3/shared_cpu_list", cpu % 4 < 2 ? "0-1,4-5" : "2-3,6-7");
  }
  write("/sys/devices/system/node/node0/cpulist", "0-1,4-5");
  write("/sys/devices/system/node/node1/cpulist", "2-3,6-7");
  write("/sys/devices/system/node/node1/meminfo", "Node 1 MemTotal:       2048 kB");
  write("/sys/devices/system/node/power", "");
  write("/proc/meminfo", "MemTotal:       4096 kB");
  Topology all = readTopology(root, {0, 1, 2, 3, 4, 5, 6, 7});
  EXPECT_EQ(all.cores, (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(all.cpus.size(), 8u);
  ASSERT_EQ(all.nodes.size(), 2u);
  EXPECT_EQ(all.nodes[1].cpus, (std::vector<int>{2, 3, 6, 7}));
  EXPECT_EQ(all.nodes[1].memoryBytes, 2048u * 1024);
  EXPECT_EQ(all.cacheBytes, 64u << 20);
  EXPECT_EQ(all.memoryBytes, 4096u * 1024);
  // A process that may use part of the machine: a core counts by the first thread it may use.
  Topology part = readTopology(root, {5, 6});
  EXPECT_EQ(part.cores, (std::vector<int>{5, 6}));
  Topology one = readTopology(root, {0, 4});
  EXPECT_EQ(one.cores, (std::vector<int>{0}));
  EXPECT_EQ(one.nodes.size(), 1u);
}

TEST_F(TopologyTest, WithoutSysfs) {
  Topology topology = readTopology(root, {1, 3});
  EXPECT_EQ(topology.cores, (std::vector<int>{1, 3}));
  EXPECT_TRUE(topology.nodes.empty());
  EXPECT_EQ(topology.cacheBytes, 0u);
}

} // namespace
} // namespace ktc
