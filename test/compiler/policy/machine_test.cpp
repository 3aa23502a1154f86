// Machine descriptions: reading, writing, and looking at this machine.
#include "test/compiler/policy/policy_fixture.h"

namespace ktc::policy::test {
namespace {

TEST(MachineTest, RoundTrip) {
  Machine machine = serverWith(2);
  machine.cpu.model = "odd \"name\" \\";
  machine.cpu.bf16Ops["amx"] = 1.5e13;
  Diagnostics diagnostics;
  auto read = parseMachine(machineToYaml(machine), "m.yaml", diagnostics);
  ASSERT_TRUE(read) << diagnostics.str();
  EXPECT_EQ(machineToYaml(*read), machineToYaml(machine));
  EXPECT_TRUE(read->measured);
  EXPECT_EQ(read->cpu.model, machine.cpu.model);
  EXPECT_EQ(read->cpu.memoryBytes, 1ull << 40);
  EXPECT_EQ(read->gpus[1].sm, 89);
  EXPECT_TRUE(read->hasDevice("cuda:1"));
  EXPECT_FALSE(read->hasDevice("cuda:2"));
}

TEST(MachineTest, Mistakes) {
  Diagnostics diagnostics;
  auto read =
      parseMachine("version: 1\n"
                   "cpu: {cores: 0, memroy: 3GiB, isa: [avx9], read_bandwidth: -1, int8_ops: {amx: fast}}\n"
                   "gpus: [{sm: 90, memory: lots}, 3]\n",
                   "m.yaml", diagnostics);
  EXPECT_FALSE(read);
  for (const char *message :
       {"m.yaml:2:17: error: unknown key 'memroy' in 'cpu'; did you mean 'memory'?",
        "m.yaml:2:37: error: unknown ISA level 'avx9'; did you mean 'avx2'?",
        "m.yaml:2:14: error: 'cores' needs a positive whole number, but found the text '0'",
        "error: 'read_bandwidth' needs a number that is not negative, but found the text '-1'",
        "error: 'int8_ops' needs a number that is not negative, but found the text 'fast'",
        "error: bad size 'lots'", "error: a GPU needs a map, but found the text '3'"})
    EXPECT_NE(diagnostics.str().find(message), std::string::npos) << message << "\nin\n" << diagnostics.str();
}

TEST(MachineTest, StructureErrors) {
  for (const char *text : {"", "[]", "version: 2\ncpu: {}", "version: 1", "version: 1\ncpu: 3",
                           "version: 1\ncpu: {}\ngpus: {}", "version: 1\ncpu: {}\nmeasured: maybe"}) {
    Diagnostics diagnostics;
    EXPECT_FALSE(parseMachine(text, "m.yaml", diagnostics)) << text;
    EXPECT_TRUE(diagnostics.hasErrors());
  }
}

// Everything that ktc probe can say survives writing and reading.
TEST(MachineTest, RoundTripOfMeasurements) {
  Machine machine = serverWith(0);
  CpuMachine &cpu = machine.cpu;
  cpu.cacheBytes = 300 << 20;
  cpu.numa = {{{0, 1, 2, 8}, 64ull << 30, 6e10}, {{4, 5}, 32ull << 30, 5e10}};
  cpu.numaNodes = 2;
  cpu.bandwidth = {{1, 1e10, 1.1e10, 1.2e10}, {16, 9e10, 9.5e10, 1.3e11}};
  cpu.weightPages = "huge";
  cpu.prefetchGain = 1.5;
  cpu.hugePagesGain = 1.25;
  cpu.dispatchLatency = 3e-6;
  cpu.panelCrossover = {{"amx", 6}, {"avx512", 10}};
  cpu.formats["amx"]["q4_k"] = {2e10, 1e11, 2e11, 3e11, 4e11};
  cpu.coreRates = {{"rms_norm", 3e9}, {"attention_gqa_prefill", 4e10}};
  GpuMachine gpu;
  gpu.weightStream = 3e12;
  gpu.matrixLatency = 4e-6;
  gpu.kernelLatency = 2e-6;
  gpu.kernelGap = 7e-7;
  gpu.handOver = 1.5e-6;
  machine.gpus.push_back(gpu);
  Diagnostics diagnostics;
  auto read = parseMachine(machineToYaml(machine), "m.yaml", diagnostics);
  ASSERT_TRUE(read) << diagnostics.str();
  EXPECT_EQ(machineToYaml(*read), machineToYaml(machine));
  EXPECT_EQ(read->gpus.back().weightStream, 3e12);
  EXPECT_EQ(read->gpus.back().matrixLatency, 4e-6);
  EXPECT_EQ(read->gpus.back().kernelLatency, 2e-6);
  EXPECT_EQ(read->gpus.back().kernelGap, 7e-7);
  EXPECT_EQ(read->gpus.back().handOver, 1.5e-6);
  EXPECT_EQ(read->cpu.numa[0].cpus, (std::vector<int>{0, 1, 2, 8}));
  EXPECT_EQ(read->cpu.numa[1].bandwidth, 5e10);
  EXPECT_EQ(read->cpu.bandwidth[1].huge, 1.3e11);
  EXPECT_EQ(read->cpu.weightPages, "huge");
  EXPECT_EQ(read->cpu.prefetchGain, 1.5);
  EXPECT_EQ(read->cpu.hugePagesGain, 1.25);
  EXPECT_EQ(read->cpu.panelCrossover.at("amx"), 6);
  EXPECT_EQ(read->cpu.formats.at("amx").at("q4_k").panelProducts, 4e11);
  EXPECT_EQ(read->cpu.coreRates.at("rms_norm"), 3e9);
}

TEST(MachineTest, NodesAndUnits) {
  Diagnostics diagnostics;
  auto read = parseMachine("version: 1\n"
                           "cpu:\n"
                           "  cores: 16\n"
                           "  numa: [{cpus: 0-7, memory: 64GiB, bandwidth: 60GB/s}, {cpus: \"8-11,14\"}]\n"
                           "  read_bandwidth: 120GB/s\n",
                           "m.yaml", diagnostics);
  ASSERT_TRUE(read) << diagnostics.str();
  EXPECT_EQ(read->cpu.numaNodes, 2);
  EXPECT_EQ(read->cpu.numa[0].cpus.size(), 8u);
  EXPECT_EQ(read->cpu.numa[0].memoryBytes, 64ull << 30);
  EXPECT_EQ(read->cpu.numa[0].bandwidth, 60e9);
  EXPECT_EQ(formatCpuList(read->cpu.numa[1].cpus), "8-11,14");
  EXPECT_EQ(read->cpu.readBandwidth, 120e9);
  // What an older description does not say stays unknown.
  EXPECT_EQ(read->cpu.prefetchGain, 0);
  EXPECT_TRUE(read->cpu.formats.empty());
}

// Copies into huge pages only after a measured gain; prefetching unless it was measured to be useless.
TEST(MachineTest, WhatMeasuredGainsDecide) {
  Machine machine;
  EXPECT_TRUE(machine.cpu.usesPrefetch());
  EXPECT_FALSE(machine.usesHugePages());
  machine.cpu.hugePagesGain = 1.05;
  EXPECT_FALSE(machine.usesHugePages());
  machine.measured = true;
  EXPECT_TRUE(machine.usesHugePages());
  machine.cpu.weightPages = "file";
  EXPECT_FALSE(machine.usesHugePages());
  machine.cpu.weightPages = "huge";
  machine.cpu.hugePagesGain = 1.04;
  EXPECT_FALSE(machine.usesHugePages());
  machine.cpu.prefetchGain = 1.02;
  EXPECT_TRUE(machine.cpu.usesPrefetch());
  machine.cpu.prefetchGain = 1.01;
  EXPECT_FALSE(machine.cpu.usesPrefetch());
}

TEST(MachineTest, MistakesInMeasurements) {
  Diagnostics diagnostics;
  EXPECT_FALSE(parseMachine("version: 1\n"
                            "cpu:\n"
                            "  numa: [{cpus: 0-3}, {cpus: 3-5}, {cpus: 7-6}, {memory: 1GiB}, 4]\n"
                            "  bandwidth: {threads: 1}\n"
                            "  weight_pages: giant\n"
                            "  prefetch_gain: much\n"
                            "  panel_crossover: {amx: 0, avx9: 2}\n"
                            "  formats: {amx: {q9_k: {stream: 1}, q4_k: {steam: 1}}, avx9: {}}\n"
                            "  core_rates: {rms_norm: quick}\n",
                            "m.yaml", diagnostics));
  for (const char *message :
       {"error: CPU 3 is in two entries of 'numa'", "error: bad list of CPUs '7-6', expected '0-7,16'",
        "error: an entry of 'numa' needs 'cpus', such as 0-7",
        "error: an entry of 'numa' needs a map, but found the text '4'",
        "error: 'bandwidth' needs a list of maps, but found a map",
        "error: 'weight_pages' needs file or huge, but found the text 'giant'",
        "error: 'prefetch_gain' needs a number that is not negative, but found the text 'much'",
        "error: 'amx' needs a positive whole number, but found the text '0'", "error: unknown ISA level 'avx9'",
        "error: unknown weight format 'q9_k' in 'formats'",
        "error: unknown key 'steam' in the rates of a format; did you mean 'stream'?",
        "error: 'core_rates' needs a number that is not negative, but found the text 'quick'"})
    EXPECT_NE(diagnostics.str().find(message), std::string::npos) << message << "\nin\n" << diagnostics.str();
}

TEST(MachineTest, CpuLists) {
  for (const char *text : {"", "a", "1-", "-1", "1,,2", "1 2", "9000", "0-7,"})
    EXPECT_FALSE(parseCpuList(text)) << text;
  EXPECT_EQ(*parseCpuList("3,0-1,1"), (std::vector<int>{0, 1, 3}));
}

TEST(MachineTest, Bandwidths) {
  EXPECT_EQ(*parseBandwidth("60GB/s"), 60e9);
  EXPECT_EQ(*parseBandwidth("1.5 TiB/s"), 1.5 * (1ull << 40));
  EXPECT_EQ(*parseBandwidth("2.5e10"), 2.5e10);
  for (const char *text : {"", "fast", "-1", "60 GB/h", "nan"})
    EXPECT_FALSE(parseBandwidth(text)) << text;
}

} // namespace
} // namespace ktc::policy::test
