// The rule files in templates/rules: they parse without a word, and place their models as their comments say.
#include "test/compiler/policy/policy_fixture.h"

namespace ktc::policy::test {
namespace {

void expectHybrid(const char *file, const Shape &shape, const std::string &experts) {
  Applied applied(Loaded::file(std::string(SHIPPED_RULES) + file), shape, serverWith(1));
  ASSERT_TRUE(applied.table) << applied.loaded.messages();
  EXPECT_EQ(applied.loaded.messages(), "");
  for (size_t m = 0; m < applied.modules.size(); ++m) {
    const std::string &op = applied.modules[m].op;
    if (op.empty())
      continue;
    EXPECT_EQ(applied.table->placements[m].device, op == "experts" || op == "embed" ? "cpu" : "cuda:0")
        << applied.modules[m].path;
  }
  EXPECT_EQ(applied.device(experts), "cpu");
}

TEST(ShippedRules, DeepSeek) { expectHybrid("deepseek.yaml", deepseekV3(), "model.layers.60.mlp.experts"); }

TEST(ShippedRules, DeepSeekV2Lite) {
  Shape lite{"deepseek2", 27, 1, 2048, 102400, 10944, 64, 6, 1408, 2816, 3072, 576, "mlp"};
  expectHybrid("deepseek-v2-lite.yaml", lite, "model.layers.1.mlp.experts");
}

TEST(ShippedRules, Qwen3Moe) { expectHybrid("qwen3-moe.yaml", qwen3Moe(), "model.layers.0.mlp.experts"); }

TEST(ShippedRules, Mixtral) {
  expectHybrid("mixtral.yaml", mixtral(), "model.layers.0.block_sparse_moe.experts");
}

TEST(ShippedRules, Glm4Moe) { expectHybrid("glm4-moe.yaml", glm45Air(), "model.layers.1.mlp.experts"); }

TEST(ShippedRules, GptOss) { expectHybrid("gpt-oss.yaml", gptOss(), "model.layers.0.mlp.experts"); }

TEST(ShippedRules, Cpu) {
  Applied applied(Loaded::file(SHIPPED_RULES "cpu.yaml"), deepseekV3(), serverWith(1));
  ASSERT_TRUE(applied.table) << applied.loaded.messages();
  for (const Placement &placement : applied.table->placements)
    EXPECT_EQ(placement.device, "cpu");
}

} // namespace
} // namespace ktc::policy::test
