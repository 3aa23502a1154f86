// `auto`: what goes to GPUs, in which order, and where it stops.
#include "test/compiler/policy/policy_fixture.h"

namespace ktc::policy::test {
namespace {

Loaded builtin(const char *name) { return Loaded::file(name); }

TEST(AutoPlace, EverythingOnCpuWithoutGpu) {
  Applied applied(builtin("auto"), qwen3Moe(), serverWith(0));
  ASSERT_TRUE(applied.table);
  for (const Placement &placement : applied.table->placements)
    EXPECT_EQ(placement.device, "cpu");
  EXPECT_EQ(applied.loaded.messages(), "");
}

TEST(AutoPlace, DenseOnGpuExpertsOnCpu) {
  Applied applied(builtin("auto"), deepseekV3(), serverWith(1));
  ASSERT_TRUE(applied.table) << applied.table.error().message;
  EXPECT_EQ(applied.device("model.layers.60.self_attn"), "cuda:0");
  EXPECT_EQ(applied.device("lm_head"), "cuda:0");
  EXPECT_EQ(applied.device("model.layers.60.mlp.experts"), "cpu");
  EXPECT_EQ(applied.device("model.embed_tokens"), "cpu");
  EXPECT_EQ(applied.at("lm_head").ruleLocation, "auto");
}

TEST(AutoPlace, StopsAtTheBudgetInLayerOrder) {
  Loaded loaded = builtin("auto");
  overrideBudget(*loaded.policy, "cuda:0", 8ull << 30, "--gpu-mem");
  Applied applied(std::move(loaded), deepseekV3(), serverWith(1));
  ASSERT_TRUE(applied.table) << applied.table.error().message;
  const DeviceUse &gpu = applied.table->devices[1];
  EXPECT_EQ(gpu.device, "cuda:0");
  EXPECT_LE(gpu.bytes, gpu.budget);
  EXPECT_GT(gpu.bytes, gpu.budget / 10 * 9);
  EXPECT_EQ(applied.device("lm_head"), "cuda:0");
  EXPECT_EQ(applied.device("model.layers.0.self_attn"), "cuda:0");
  // Once a layer is on the CPU, all later ones are, norms included.
  bool onCpu = false;
  for (int layer = 0; layer < 61; ++layer) {
    bool here = applied.device("model.layers." + std::to_string(layer) + ".post_attention_layernorm") == "cpu";
    EXPECT_TRUE(!onCpu || here) << layer;
    onCpu = here;
  }
  EXPECT_TRUE(onCpu);
}

TEST(AutoPlace, ExpertsFillWhatIsLeft) {
  Applied applied(Loaded("version: 1\ndefault: auto"), qwen3Moe(), serverWith(1));
  ASSERT_TRUE(applied.table) << applied.table.error().message;
  EXPECT_EQ(applied.device("model.layers.0.mlp.experts"), "cuda:0");
  Loaded small("version: 1\nbudget: {cuda:0: 4GiB}\ndefault: auto");
  Applied limited(std::move(small), qwen3Moe(), serverWith(1));
  ASSERT_TRUE(limited.table);
  EXPECT_EQ(limited.device("model.layers.47.self_attn.q_proj"), "cuda:0"); // before any experts
  EXPECT_EQ(limited.device("model.layers.0.mlp.experts"), "cuda:0");
  EXPECT_EQ(limited.device("model.layers.47.mlp.experts"), "cpu");
}

TEST(AutoPlace, SecondGpuTakesOver) {
  Loaded loaded(
      "version: 1\nbudget: {cuda:0: 8GiB}\nrules:\n- {match: {op: experts}, place: cpu}\ndefault: auto");
  Applied applied(std::move(loaded), deepseekV3(), serverWith(2));
  ASSERT_TRUE(applied.table) << applied.table.error().message;
  EXPECT_EQ(applied.device("model.layers.0.self_attn"), "cuda:0");
  EXPECT_EQ(applied.device("model.layers.60.self_attn"), "cuda:1");
}

TEST(AutoPlace, PrefillFollows) {
  Loaded loaded("version: 1\nrules:\n- {match: {op: experts}, place: {device: cpu, prefill_device: auto}}");
  Applied applied(std::move(loaded), qwen3Moe(), serverWith(1));
  ASSERT_TRUE(applied.table);
  EXPECT_EQ(applied.at("model.layers.0.mlp.experts").prefillDevice, "cpu");
}

} // namespace
} // namespace ktc::policy::test
