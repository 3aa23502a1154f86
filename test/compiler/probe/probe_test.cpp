// Detecting and measuring this machine.
#include "compiler/probe/measure.h"
#include "compiler/probe/probe.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>

namespace ktc {
namespace {

using policy::Machine;

TEST(ProbeTest, DetectsThisMachine) {
  auto start = std::chrono::steady_clock::now();
  Machine machine = detectMachine();
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (machine.gpus.empty()) { // starting a GPU driver is not ours to speed up
    EXPECT_LT(seconds, 0.3);
  }
  EXPECT_FALSE(machine.measured);
  EXPECT_GE(machine.cpu.cores, 1);
  EXPECT_GE(machine.cpu.threads, machine.cpu.cores);
  EXPECT_GT(machine.cpu.memoryBytes, 1u << 20);
  EXPECT_GT(machine.cpu.readBandwidth, 0);
}

TEST(ProbeTest, Measures) {
  ProbeOptions options;
  options.seconds = 0.05;
  options.bufferBytes = 16u << 20;
  options.gpus = false;
  Machine machine = probeMachine(options);
  policy::CpuMachine &cpu = machine.cpu;
  EXPECT_TRUE(machine.measured);
  EXPECT_GT(cpu.readBandwidth, 1e8);
  EXPECT_TRUE(cpu.weightPages == "file" || cpu.weightPages == "huge");
  if (!cpu.isa.empty()) {
    EXPECT_GT(cpu.prefetchGain, 0.1);
    EXPECT_GT(cpu.hugePagesGain, 0.1);
  }
  ASSERT_FALSE(cpu.bandwidth.empty());
  EXPECT_EQ(cpu.bandwidth.front().threads, 1);
  EXPECT_EQ(cpu.bandwidth.back().threads, cpu.cores);
  for (const policy::BandwidthPoint &point : cpu.bandwidth)
    EXPECT_TRUE(point.file > 1e7 && point.small > 1e7 && point.huge > 1e7);
  for (const std::string &isa : cpu.isa) {
    EXPECT_GT(cpu.int8Ops[isa], 1e9) << isa;
    for (const char *format : {"f32", "bf16", "q8_0", "q4_k", "mxfp4"}) {
      ASSERT_TRUE(cpu.formats[isa].contains(format)) << isa << " " << format;
      policy::FormatRates rates = cpu.formats[isa][format];
      for (double rate :
           {rates.stream, rates.tileWeights, rates.tileProducts, rates.panelWeights, rates.panelProducts})
        EXPECT_GT(rate, 1e6) << isa << " " << format;
    }
  }
  for (const char *family :
       {"rms_norm", "quantize", "rope", "kv_store", "add", "router_topk", "expert_group", "attention_gqa",
        "attention_gqa_prefill", "attention_mla", "attention_mla_prefill"})
    if (!cpu.isa.empty()) {
      EXPECT_GT(cpu.coreRates[family], 1e5) << family;
    }
  policy::Diagnostics diagnostics;
  EXPECT_TRUE(parseMachine(machineToYaml(machine), "m.yaml", diagnostics)) << diagnostics.str();
}

// The fake driver's kernels do nothing, but wait and raise.
TEST(ProbeTest, MeasuresGpusOfTheDriver) {
  setenv("KTRT_CUDA_DRIVER", FAKE_CUDA_DRIVER, 1);
  const std::vector<policy::GpuMachine> gpus = detectGpus(true);
  unsetenv("KTRT_CUDA_DRIVER");
  ASSERT_EQ(gpus.size(), 1u);
  EXPECT_EQ(gpus[0].name, "Fake GPU");
  EXPECT_EQ(gpus[0].sm, 90);
  EXPECT_EQ(gpus[0].memoryBytes, 2u << 30);
  for (double rate : {gpus[0].bandwidth, gpus[0].h2dBandwidth, gpus[0].d2hBandwidth})
    EXPECT_GT(rate, 1e6);
  if (gpus[0].kernelLatency == 0)
    GTEST_SKIP() << "no NVRTC, or a machine too busy to time anything";
  EXPECT_LT(gpus[0].kernelLatency, 0.1);
  EXPECT_GE(gpus[0].kernelGap, 0);
  EXPECT_LT(gpus[0].handOver, 0.1);
}

TEST(ProbeTest, NoDriverNoGpus) {
  setenv("KTRT_CUDA_DRIVER", "/nowhere/libcuda.so", 1);
  EXPECT_TRUE(detectGpus(true).empty());
  unsetenv("KTRT_CUDA_DRIVER");
}

} // namespace
} // namespace ktc
