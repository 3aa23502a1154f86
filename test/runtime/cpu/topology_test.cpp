// Core selection on made-up machines: SMT siblings, affinity masks, cgroup quotas.
#include "runtime/cpu/topology.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

using namespace ktrt;
using Cpus = std::vector<uint32_t>;

namespace {

class TopologyTest : public testing::Test {
protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "ktrt-topology-XXXXXX").string();
    root = mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(root); }
  void file(const std::string &path, const std::string &text) {
    std::filesystem::create_directories(std::filesystem::path(root + path).parent_path());
    std::ofstream(root + path) << text;
  }
  // Four cores with two threads each: CPU n and n + 4.
  void hyperThreads() {
    for (int cpu = 0; cpu < 8; ++cpu)
      file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list",
           std::to_string(cpu % 4) + "," + std::to_string(cpu % 4 + 4) + "\n");
  }
  std::string root;
};

TEST_F(TopologyTest, OneThreadPerCore) {
  hyperThreads();
  CpuTopology topology = readTopology(root, {0, 1, 2, 3, 4, 5, 6, 7});
  EXPECT_EQ(topology.cores, (Cpus{0, 1, 2, 3}));
  EXPECT_EQ(topology.siblings, (Cpus{4, 5, 6, 7}));
  EXPECT_EQ(topology.quota, 0u);
  EXPECT_EQ(teamCpus(topology, 0), (Cpus{0, 1, 2, 3}));
  EXPECT_EQ(teamCpus(topology, 2), (Cpus{0, 1}));
  EXPECT_EQ(teamCpus(topology, 6), (Cpus{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(teamCpus(topology, 10), (Cpus{0, 1, 2, 3, 4, 5, 6, 7, 0, 1}));
  EXPECT_FALSE(cpusAreShared(teamCpus(topology, 8)));
  EXPECT_TRUE(cpusAreShared(teamCpus(topology, 9)));
}

TEST_F(TopologyTest, AffinityMask) {
  hyperThreads();
  CpuTopology topology = readTopology(root, {1, 4, 5, 6});
  EXPECT_EQ(topology.cores, (Cpus{1, 4, 6})) << "5 is the sibling of 1; 0 and 2 are not allowed";
  EXPECT_EQ(topology.siblings, (Cpus{5}));
}

// Two nodes of two cores each, numbered alternately.
TEST_F(TopologyTest, MemoryNodes) {
  hyperThreads();
  file("/sys/devices/system/node/node0/cpulist", "0,2,4,6\n");
  file("/sys/devices/system/node/node1/cpulist", "1,3,5,7\n");
  CpuTopology topology = readTopology(root, {0, 1, 2, 3, 4, 5, 6, 7});
  EXPECT_EQ(topology.nodes, (std::vector<Cpus>{{0, 2, 4, 6}, {1, 3, 5, 7}}));
  EXPECT_EQ(teamCpus(topology, 0, 2), (Cpus{0, 2, 1, 3}));
  EXPECT_EQ(teamCpus(topology, 2, 2), (Cpus{0, 1}));
  EXPECT_EQ(teamCpus(topology, 3, 2), (Cpus{0, 2, 1})) << "thread t is on node t * 2 / 3";
  EXPECT_EQ(teamCpus(topology, 8, 2), (Cpus{0, 2, 4, 6, 1, 3, 5, 7}));
  EXPECT_EQ(teamCpus(topology, 4, 3), (Cpus{0, 1, 2, 3})) << "the machine has no third node";
  EXPECT_EQ(teamCpus(readTopology(root, {0, 1, 2, 4}), 4, 2), (Cpus{0, 1, 2, 4})) << "node 1 has one CPU only";
}

TEST_F(TopologyTest, SiblingRanges) {
  file("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0-1\n");
  file("/sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "0-1\n");
  EXPECT_EQ(readTopology(root, {0, 1}).cores, (Cpus{0}));
}

TEST_F(TopologyTest, WithoutSysfs) {
  EXPECT_EQ(readTopology(root, {2, 3}).cores, (Cpus{2, 3}));
  EXPECT_EQ(readTopology(root, {}).cores, (Cpus{0}));
}

TEST_F(TopologyTest, QuotaOfTheTightestAncestor) {
  file("/proc/self/cgroup", "0::/a/b\n");
  file("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  file("/sys/fs/cgroup/a/cpu.max", "350000 100000\n");
  file("/sys/fs/cgroup/cpu.max", "600000 100000\n");
  CpuTopology topology = readTopology(root, {0, 1, 2, 3, 4});
  EXPECT_EQ(topology.quota, 3u);
  EXPECT_EQ(teamCpus(topology, 0), (Cpus{0, 1, 2}));
  EXPECT_EQ(teamCpus(topology, 5).size(), 5u) << "an explicit number is obeyed";
}

TEST_F(TopologyTest, QuotaBelowOneCpu) {
  file("/proc/self/cgroup", "1:cpu:/\n0::/\n");
  file("/sys/fs/cgroup/cpu.max", "50000 100000\n");
  EXPECT_EQ(readTopology(root, {0, 1}).quota, 1u);
}

TEST_F(TopologyTest, QuotaOfVersion1) {
  file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n");
  file("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(readTopology(root, {0, 1, 2}).quota, 2u);
  file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(readTopology(root, {0, 1, 2}).quota, 0u);
}

TEST(Topology, ThisMachine) {
  CpuTopology topology = readTopology();
  EXPECT_FALSE(topology.cores.empty());
  EXPECT_FALSE(teamCpus(topology, 0).empty());
}

} // namespace
