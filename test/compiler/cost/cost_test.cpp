// Work of dispatches, and its price on described machines.
#include "compiler/cost/assumed_rates.h"
#include "compiler/cost/gpu_cost.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

namespace ktc {
namespace {

DispatchShape shape(const std::string &family, Params params, int64_t units, int64_t perToken = 0) {
  return {family, std::move(params), units, perToken, false};
}

DispatchShape experts(int64_t tokens, bool dynamic) {
  return shape("gate_up",
               {{"format_gate", "q4_k"},
                {"format_up", "q6_k"},
                {"n", int64_t{768}},
                {"k", int64_t{2048}},
                {"experts", int64_t{128}},
                {"top_k", int64_t{8}},
                {"m", tokens},
                {"dynamic", int64_t{dynamic}}},
               192);
}

TEST(Work, Matrices) {
  Work work = workOf(experts(1, false), 1, 0);
  ASSERT_EQ(work.matrices.size(), 2u);
  EXPECT_EQ(work.matrices[0].weights, 768.0 * 2048);
  EXPECT_EQ(work.matrices[0].bytes, 768.0 * 2048 / 256 * 144);
  EXPECT_EQ(work.matrices[1].bytes, 768.0 * 2048 / 256 * 210);
  EXPECT_EQ(work.matrices[0].experts, 128);
  EXPECT_NEAR(expectedExperts(work.matrices[0], 1), 8, 1e-9);
  // A dense block is one expert that every token takes.
  DispatchShape dense = shape("down",
                              {{"format", "q8_0"},
                               {"n", int64_t{64}},
                               {"k", int64_t{32}},
                               {"experts", int64_t{1}},
                               {"top_k", int64_t{1}},
                               {"dense", int64_t{1}}},
                              16);
  EXPECT_EQ(expectedExperts(workOf(dense, 5, 0).matrices[0], 5), 1);
  DispatchShape batched =
      shape("linear", {{"format", "f32"}, {"n", int64_t{8}}, {"k", int64_t{4}}, {"batch", int64_t{3}}}, 6);
  EXPECT_EQ(workOf(batched, 2, 0).matrices[0].bytes, 8.0 * 4 * 3 * 4);
  DispatchShape group = shape(
      "linear_group",
      {{"format0", "f16"}, {"n0", int64_t{8}}, {"format1", "q8_0"}, {"n1", int64_t{4}}, {"k", int64_t{32}}}, 3);
  work = workOf(group, 2, 0);
  ASSERT_EQ(work.matrices.size(), 2u);
  EXPECT_EQ(work.matrices[0].bytes, 8.0 * 32 * 2);
  EXPECT_EQ(work.matrices[1].bytes, 4.0 * 34);
}

// The expected number of experts against drawing them.
TEST(Work, ExpectedExpertsAndRows) {
  MatrixWork matrix;
  matrix.experts = 128;
  matrix.chosenShare = 8.0 / 128;
  std::mt19937 random(7);
  for (int tokens : {1, 4, 16, 64}) {
    double chosen = 0;
    const int rounds = 400;
    for (int round = 0; round < rounds; ++round) {
      std::vector<bool> taken(128);
      for (int token = 0; token < tokens; ++token) {
        std::vector<int> ids(128);
        std::iota(ids.begin(), ids.end(), 0);
        std::shuffle(ids.begin(), ids.end(), random);
        for (int i = 0; i < 8; ++i)
          taken[ids[i]] = true;
      }
      chosen += static_cast<double>(std::count(taken.begin(), taken.end(), true));
    }
    EXPECT_NEAR(expectedExperts(matrix, tokens), chosen / rounds, 1.0) << tokens;
  }
  for (int64_t tokens : {1, 10, 512, 4096}) {
    std::vector<double> rows = rowDistribution(8.0 / 128, tokens);
    double sum = 0, mean = 0;
    for (size_t r = 0; r < rows.size(); ++r) {
      sum += rows[r];
      mean += rows[r] * static_cast<double>(r);
    }
    EXPECT_NEAR(sum, 1, 1e-6) << tokens;
    EXPECT_NEAR(mean, static_cast<double>(tokens) / 16, 1e-3 * static_cast<double>(tokens)) << tokens;
  }
  EXPECT_EQ(rowDistribution(1, 3), (std::vector<double>{0, 0, 0, 1}));
}

TEST(Work, Attention) {
  DispatchShape gqa = shape("attention_gqa",
                            {{"heads", int64_t{8}},
                             {"kv_heads", int64_t{2}},
                             {"head_dim", int64_t{64}},
                             {"v_dim", int64_t{32}},
                             {"kv_type", "bf16"}},
                            0, 8);
  Work one = workOf(gqa, 1, 99);
  EXPECT_EQ(one.items, 8.0 * 96 * 100);
  EXPECT_EQ(one.cacheBytes, 2.0 * 96 * 2 * 100);
  EXPECT_EQ(workOf(gqa, 3, 0).items, 8.0 * 96 * (1 + 2 + 3));
  gqa.params["window"] = int64_t{10};
  EXPECT_EQ(workOf(gqa, 2, 99).items, 8.0 * 96 * 20);
  DispatchShape mla =
      shape("attention_mla", {{"heads", int64_t{4}}, {"latent", int64_t{512}}, {"rope", int64_t{64}}}, 0, 4);
  EXPECT_EQ(workOf(mla, 1, 9).items, 4.0 * (2 * 512 + 64) * 10);
  EXPECT_EQ(workOf(mla, 1, 9).cacheBytes, 576.0 * 2 * 10);
}

policy::CpuMachine machine() {
  policy::CpuMachine cpu;
  cpu.cores = 4;
  cpu.readBandwidth = 40e9;
  cpu.barrierLatency = 1e-6;
  cpu.dispatchLatency = 5e-6;
  cpu.formats["amx"]["q4_k"] = {30e9, 2e11, 4e11, 1e11, 2e12};
  cpu.formats["amx"]["q6_k"] = {35e9, 2e11, 4e11, 1e11, 2e12};
  cpu.coreRates = {{"rms_norm", 2e9}, {"attention_gqa", 1e10}, {"attention_gqa_prefill", 4e10}};
  return cpu;
}

TEST(Cost, DecodeReadsTheChosenExperts) {
  policy::CpuMachine cpu = machine();
  CpuRates rates(cpu, x64::Isa::Amx);
  double q4 = 8 * 768.0 * 8 * 144, q6 = 8 * 768.0 * 8 * 210;
  Seconds seconds = rates.seconds(experts(1, false), 1, 0, false);
  EXPECT_NEAR(seconds.total(), q4 / 30e9 + q6 / 35e9, 1e-9);
  EXPECT_EQ(seconds.computing, 0);
  EXPECT_TRUE(rates.assumptions().empty());
  DispatchShape waits = experts(1, false);
  waits.barrier = true;
  EXPECT_NEAR(rates.seconds(waits, 1, 0, false).starting, 5e-6, 1e-12);
  // In cache only arithmetic is left: one pass over the weights and one product with each.
  double weights = 2 * 8 * 768.0 * 2048;
  EXPECT_NEAR(rates.seconds(experts(1, false), 1, 0, true).total(), weights / 2e11 + weights / 4e11, 1e-9);
}

TEST(Cost, PanelsCountWholePanels) {
  policy::CpuMachine cpu = machine();
  CpuRates rates(cpu, x64::Isa::Amx);
  auto linear = [](int64_t m) {
    return shape(
        "linear",
        {{"format", "q4_k"}, {"n", int64_t{4096}}, {"k", int64_t{4096}}, {"m", m}, {"dynamic", int64_t{1}}},
        1024);
  };
  double weights = 4096.0 * 4096;
  EXPECT_NEAR(rates.seconds(linear(64), 33, 0, true).computing, weights / 1e11 + weights * 48 / 2e12, 1e-9);
  // Below the crossover the small tiles: two passes for more than eight tokens do not happen here.
  EXPECT_NEAR(rates.seconds(linear(64), 4, 0, true).computing, weights / 2e11 + weights * 4 / 4e11, 1e-9);
  // Reading hides behind making the panel, not behind the products.
  Seconds streamed = rates.seconds(linear(64), 32, 0, false);
  EXPECT_NEAR(streamed.reading, weights / 256 * 144 / 40e9, 1e-9);
  EXPECT_NEAR(streamed.computing, weights * 32 / 2e12, 1e-9);
}

TEST(Cost, MoreTokensNeverCostLess) {
  policy::CpuMachine cpu = machine();
  CpuRates rates(cpu, x64::Isa::Amx);
  double before = 0;
  for (int64_t tokens = 1; tokens <= 64; ++tokens) {
    double now = rates.seconds(experts(tokens, false), tokens, 0, false).total();
    EXPECT_GE(now, before) << tokens;
    EXPECT_LE(now, static_cast<double>(tokens) * rates.seconds(experts(1, false), 1, 0, false).total() * 1.01)
        << tokens;
    before = now;
  }
}

TEST(Cost, SmallKernelsRunOnAsManyThreadsAsTheyHaveUnits) {
  policy::CpuMachine cpu = machine();
  CpuRates rates(cpu, x64::Isa::Amx);
  DispatchShape norm = shape("rms_norm", {{"k", int64_t{2048}}, {"rows", int64_t{1}}}, 0, 1);
  double one = 2048 / 2e9;
  EXPECT_NEAR(rates.seconds(norm, 1, 0, false).total(), one, 1e-12);
  EXPECT_NEAR(rates.seconds(norm, 4, 0, false).total(), one, 1e-12);
  EXPECT_NEAR(rates.seconds(norm, 5, 0, false).total(), 2 * one, 1e-12);
  norm.barrier = true;
  EXPECT_NEAR(rates.seconds(norm, 1, 0, false).total(), one + 1e-6, 1e-12);
}

TEST(Cost, AttentionReadsTheCacheOrComputes) {
  policy::CpuMachine cpu = machine();
  CpuRates rates(cpu, x64::Isa::Amx);
  DispatchShape gqa = shape("attention_gqa",
                            {{"heads", int64_t{32}},
                             {"kv_heads", int64_t{4}},
                             {"head_dim", int64_t{128}},
                             {"v_dim", int64_t{128}},
                             {"kv_type", "f16"}},
                            0, 32);
  double items = 32.0 * 256 * 1000;
  EXPECT_NEAR(rates.seconds(gqa, 1, 999, false).computing, items / 4 / 1e10, 1e-9);
  cpu.coreRates["attention_gqa"] = 1e13;
  EXPECT_NEAR(CpuRates(cpu, x64::Isa::Amx).seconds(gqa, 1, 999, false).reading, 4.0 * 256 * 2 * 1000 / 40e9,
              1e-9);
  // Kernels for many tokens have a rate of their own.
  gqa.params["dynamic"] = int64_t{1};
  double keys = 0;
  for (int i = 0; i < 32; ++i)
    keys += i + 1;
  EXPECT_NEAR(rates.seconds(gqa, 32, 0, false).computing, 32.0 * 256 * keys / 4 / 4e10, 1e-9);
}

TEST(Cost, AssumesAndSaysSo) {
  policy::CpuMachine bare;
  CpuRates rates(bare, x64::Isa::Avx2);
  EXPECT_GT(rates.seconds(experts(1, false), 1, 0, false).total(), 0);
  EXPECT_GT(rates.seconds(shape("unknown_family", {{"k", int64_t{64}}}, 1), 1, 0, false).total(), 0);
  EXPECT_EQ(rates.assumptions().size(), 3u); // bandwidth, kernels, small kernels
  (void)rates.seconds(experts(1, false), 1, 0, false);
  EXPECT_EQ(rates.assumptions().size(), 3u);
}

// Without a measurement the units of a level, the number of cores and the memory that they share count.
TEST(Cost, AssumedRates) {
  EXPECT_EQ(assumedBandwidth(2, 1), 20e9);
  EXPECT_EQ(assumedBandwidth(16, 1), 112e9);
  EXPECT_EQ(assumedBandwidth(64, 1), 200e9);
  EXPECT_EQ(assumedBandwidth(128, 2), 400e9);
  const policy::FormatRates amx = assumedFormatRates(x64::Isa::Amx, "q4_k", 16, 100e9),
                            avx512 = assumedFormatRates(x64::Isa::Avx512, "q4_k", 16, 100e9);
  EXPECT_LT(amx.stream, 100e9);
  EXPECT_EQ(amx.tileProducts, avx512.tileProducts);
  EXPECT_GT(amx.panelProducts, 1.5 * avx512.panelProducts);
  EXPECT_EQ(amx.panelProducts, 2 * assumedFormatRates(x64::Isa::Amx, "q4_k", 8, 100e9).panelProducts);
  // Formats without panels go by tiles at any number of tokens.
  const policy::FormatRates f32 = assumedFormatRates(x64::Isa::Avx512, "f32", 16, 100e9);
  EXPECT_EQ(f32.panelProducts, f32.tileProducts);
  EXPECT_GT(assumedFormatRates(x64::Isa::Amx, "f32", 16, 100e9).panelProducts, 2 * f32.panelProducts);
  DispatchShape gqa = shape("attention_gqa", {{"kv_type", "bf16"}, {"dynamic", int64_t{1}}}, 0, 4);
  const double tiles = assumedItemRate(x64::Isa::Amx, gqa);
  EXPECT_GT(tiles, 2 * assumedItemRate(x64::Isa::Avx512, gqa));
  gqa.params["kv_type"] = "f16"; // the tile products take bfloat16
  EXPECT_EQ(assumedItemRate(x64::Isa::Amx, gqa), assumedItemRate(x64::Isa::Avx512, gqa));
  gqa.params["dynamic"] = int64_t{0};
  EXPECT_LT(assumedItemRate(x64::Isa::Amx, gqa), tiles / 2);
}

TEST(GpuCost, ReadsAtAShareOfItsBandwidth) {
  policy::GpuMachine gpu;
  gpu.bandwidth = 1000e9;
  gpu.tensorOps = 1e15;
  gpu.h2dBandwidth = 20e9;
  GpuRates rates(&gpu, "cuda:0");
  // The chosen experts of a token, at 75 %, and what it takes to start on them.
  double bytes = 8 * 768.0 * 8 * 144 + 8 * 768.0 * 8 * 210;
  Seconds seconds = rates.seconds(experts(1, false), 1, 0);
  EXPECT_NEAR(seconds.reading, bytes / 750e9, 1e-12);
  EXPECT_EQ(seconds.computing, 0);
  EXPECT_NEAR(seconds.starting, 8e-6, 1e-12);
  // Many tokens: two operations per weight and token that meets it, at 20 % of the matrix rate.
  EXPECT_NEAR(rates.seconds(experts(4096, true), 4096, 0).computing, 2 * 2 * 8 * 768.0 * 2048 * 4096 / 0.2e15,
              1e-9);
  EXPECT_NEAR(rates.copySeconds(1e6).reading, 1e6 / 20e9, 1e-12);
  // A kernel without weights starts sooner, and rows between the memories pass over PCIe.
  DispatchShape copy = shape("copy_rows", {{"bytes", int64_t{8192}}}, 0, 1);
  EXPECT_NEAR(rates.seconds(copy, 100, 0).reading, 8192 * 100 / 20e9, 1e-12);
  DispatchShape norm = shape("rms_norm", {{"k", int64_t{2048}}}, 0, 1);
  EXPECT_NEAR(rates.seconds(norm, 1, 0).starting, 2e-6, 1e-12);
  EXPECT_EQ(rates.handOverSeconds(), 2e-6);
  ASSERT_EQ(rates.assumptions().size(), 4u);
}

TEST(GpuCost, TakesWhatWasMeasured) {
  policy::GpuMachine gpu;
  gpu.bandwidth = 1000e9;
  gpu.tensorOps = 1e15;
  gpu.h2dBandwidth = 20e9;
  gpu.weightStream = 900e9;
  gpu.matrixLatency = 4e-6;
  gpu.kernelLatency = 2e-6;
  gpu.kernelGap = 0.7e-6;
  gpu.handOver = 1.5e-6;
  GpuRates rates(&gpu, "cuda:0");
  Seconds seconds = rates.seconds(experts(1, false), 1, 0);
  EXPECT_NEAR(seconds.reading, (8 * 768.0 * 8 * 144 + 8 * 768.0 * 8 * 210) / 900e9, 1e-12);
  EXPECT_NEAR(seconds.starting, 4e-6 + 6e-6, 1e-12) << "experts take longer than one matrix";
  EXPECT_EQ(rates.seconds(shape("rms_norm", {{"k", int64_t{2048}}}, 0, 1), 1, 0).starting, 2e-6);
  EXPECT_EQ(rates.copySeconds(1e6).starting, 0.7e-6);
  EXPECT_EQ(rates.handOverSeconds(), 1.5e-6);
  ASSERT_EQ(rates.assumptions().size(), 1u) << "only prompts are assumed";
}

TEST(GpuCost, AssumesWhatIsNotGivenAndSaysIt) {
  GpuRates rates(nullptr, "cuda:1");
  EXPECT_GT(rates.seconds(experts(1, false), 1, 0).total(), 0);
  ASSERT_EQ(rates.assumptions().size(), 7u);
  EXPECT_NE(rates.assumptions()[0].find("cuda:1"), std::string::npos);
}

TEST(Work, OfKernelsThatOnlyGpusHave) {
  DispatchShape gqa = shape(
      "gqa_prepare",
      {{"heads", int64_t{8}}, {"kv_heads", int64_t{2}}, {"head_dim", int64_t{64}}, {"v_dim", int64_t{32}}}, 0,
      1);
  EXPECT_EQ(workOf(gqa, 3, 7).items, 3.0 * (10 * 64 + 2 * 32));
  DispatchShape mla =
      shape("mla_prepare", {{"heads", int64_t{4}}, {"latent", int64_t{512}}, {"rope", int64_t{64}}}, 0, 1);
  EXPECT_EQ(workOf(mla, 2, 0).items, 2.0 * (5 * 64 + 512));
  EXPECT_EQ(workOf(shape("top_logits", {{"n", int64_t{1000}}, {"count", int64_t{128}}}, 0, 1), 2, 0).items,
            2000);
  DispatchShape sum = shape("slot_sum", {{"top_k", int64_t{8}}, {"n", int64_t{256}}}, 0, 1);
  EXPECT_EQ(workOf(sum, 5, 0).items, 5.0 * 8 * 256);
}

TEST(Work, OfProductsInsideOtherKernels) {
  const Work absorbed = workOf(shape("mla_prepare",
                                     {{"heads", int64_t{4}},
                                      {"latent", int64_t{512}},
                                      {"rope", int64_t{64}},
                                      {"nope", int64_t{128}},
                                      {"format", "q8_0"}},
                                     0, 1),
                               1, 0);
  ASSERT_EQ(absorbed.matrices.size(), 1u);
  EXPECT_EQ(absorbed.matrices[0].weights, 4.0 * 512 * 128);
  EXPECT_EQ(absorbed.matrices[0].bytes, 4.0 * 512 * 128 / 32 * 34);
  const Work up = workOf(
      shape("attention_up",
            {{"heads", int64_t{4}}, {"v_dim", int64_t{512}}, {"n", int64_t{128}}, {"format", "f16"}}, 0, 1),
      1, 0);
  ASSERT_EQ(up.matrices.size(), 1u);
  EXPECT_EQ(up.matrices[0].bytes, 4.0 * 128 * 512 * 2);
  const Work norm = workOf(shape("rms_norm", {{"k", int64_t{256}}, {"products", int64_t{16}}}, 0, 1), 1, 0);
  ASSERT_EQ(norm.matrices.size(), 1u);
  EXPECT_EQ(norm.matrices[0].bytes, 16.0 * 256 * 4);
}

} // namespace
} // namespace ktc
