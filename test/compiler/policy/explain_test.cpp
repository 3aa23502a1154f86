// Predictions, the table and the JSON of `ktc explain`.
#include "compiler/policy/explain.h"
#include "test/compiler/policy/policy_fixture.h"

#include <nlohmann/json.hpp>

namespace ktc::policy::test {
namespace {

struct Explained : Applied {
  Machine machine;
  Prediction prediction;
  Explained(Loaded loaded, const Shape &shape, const Machine &on, const CostOptions &options = {})
      : Applied(std::move(loaded), shape, on), machine(on) {
    if (table)
      prediction = predict(modules, *table, machine, options);
  }
  std::string text() const { return explainText(modules, *table, machine, prediction); }
};

TEST(Explain, FoldsLayers) {
  Explained explained(Loaded::file(SHIPPED_RULES "deepseek.yaml"), deepseekV3(), serverWith(1));
  ASSERT_TRUE(explained.table);
  std::string text = explained.text();
  for (const char *row : {"model.layers.{3-60}.mlp.experts ", "model.layers.{0-2}.mlp ", "q4_k+q6_k   395 GiB",
                          "deepseek.yaml:19\n", "cuda:0  14.8 GiB           24.0 GiB", "(measured)"})
    EXPECT_NE(text.find(row), std::string::npos) << row << "\nin\n" << text;
}

TEST(Explain, DecodeIsTheSumOverDevices) {
  Explained explained(Loaded::file(SHIPPED_RULES "deepseek.yaml"), deepseekV3(), serverWith(1));
  ASSERT_TRUE(explained.table);
  double bytes[2] = {};
  for (size_t m = 0; m < explained.modules.size(); ++m)
    bytes[explained.table->placements[m].device != "cpu"] +=
        static_cast<double>(explained.modules[m].bytesPerToken);
  double seconds = bytes[0] / 250e9 + bytes[1] / 900e9 + explained.prediction.dispatchSeconds;
  EXPECT_NEAR(explained.prediction.decodeTokensPerS * seconds, 1, 1e-9);
  EXPECT_EQ(explained.prediction.decodeBound, "cpu memory bandwidth");
  // Embedding to the first layer, and twice per MoE layer.
  EXPECT_EQ(explained.prediction.crossings, 1 + 2 * 58);
}

TEST(Explain, FasterMachineIsPredictedFaster) {
  Machine slow = serverWith(0), fast = serverWith(0);
  fast.cpu.readBandwidth *= 2;
  Explained a(Loaded::file("cpu"), qwen3Moe(), slow), b(Loaded::file("cpu"), qwen3Moe(), fast);
  EXPECT_GT(b.prediction.decodeTokensPerS, a.prediction.decodeTokensPerS * 1.5);
  EXPECT_EQ(a.prediction.prefillBound, "cpu compute");
}

TEST(Explain, IsaDecidesPrefill) {
  Machine machine = serverWith(0);
  machine.cpu.int8Ops = {{"avx2", 2e12}, {"amx", 2e13}};
  CostOptions avx2;
  avx2.isa = "avx2";
  Explained slow(Loaded::file("cpu"), qwen3Moe(), machine, avx2),
      fast(Loaded::file("cpu"), qwen3Moe(), machine);
  EXPECT_GT(fast.prediction.prefillTokensPerS, slow.prediction.prefillTokensPerS * 3);
}

TEST(Explain, StreamedPrefillIsBoundByPcie) {
  Explained explained(Loaded::file(POLICY_INPUTS "kt-layerwise-prefill.yaml"), deepseekV3(), serverWith(1));
  ASSERT_TRUE(explained.table);
  EXPECT_EQ(explained.prediction.prefillBound, "cuda:0 PCIe bandwidth");
}

TEST(Explain, UnknownRatesAreAssumedAndSaid) {
  Explained explained(Loaded::file(SHIPPED_RULES "deepseek.yaml"), deepseekV3(), Machine{});
  ASSERT_TRUE(explained.table);
  EXPECT_GT(explained.prediction.decodeTokensPerS, 0);
  std::string text = explained.text();
  for (const char *note :
       {"note: the machine was not measured", "note: the read bandwidth of the cpu is not given",
        "note: the memory bandwidth of cuda:0 is not given"})
    EXPECT_NE(text.find(note), std::string::npos) << note << "\nin\n" << text;
}

TEST(Explain, Json) {
  Explained explained(Loaded::file(SHIPPED_RULES "qwen3-moe.yaml"), qwen3Moe(), serverWith(1));
  ASSERT_TRUE(explained.table);
  nlohmann::json json =
      explainJson(explained.modules, *explained.table, explained.machine, explained.prediction);
  EXPECT_EQ(json["devices"][0]["name"], "cpu");
  EXPECT_EQ(json["devices"][1]["budget"], 16ull << 30);
  EXPECT_GT(json["predicted"]["decode_tokens_per_s"], 1.0);
  EXPECT_GT(json["predicted"]["prefill_tokens_per_s"], 1.0);
  size_t operations = 0;
  uint64_t bytes = 0;
  for (const nlohmann::json &row : json["placement"]) {
    for (const char *key : {"path", "op", "device", "format", "bytes", "rule"})
      EXPECT_TRUE(row.contains(key)) << key;
    bytes += row["bytes"].get<uint64_t>();
  }
  for (const ModuleRef &module : explained.modules)
    operations += !module.op.empty();
  EXPECT_EQ(json["placement"].size(), operations);
  EXPECT_EQ(bytes, json["devices"][0]["bytes"].get<uint64_t>() + json["devices"][1]["bytes"].get<uint64_t>());
}

} // namespace
} // namespace ktc::policy::test
