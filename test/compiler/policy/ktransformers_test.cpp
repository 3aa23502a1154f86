// The KTransformers spelling: parsing, diagnostics, and matching on the module tree.
#include "test/compiler/policy/policy_fixture.h"

#include <gmock/gmock.h>

namespace ktc::policy::test {
namespace {

Applied apply(const char *file, const Shape &shape, int gpus) {
  return Applied(Loaded::file(std::string(POLICY_INPUTS) + file), shape, serverWith(gpus));
}

TEST(KTransformers, DeepSeekV3OnOneGpu) {
  Applied applied = apply("kt-deepseek-v3.yaml", deepseekV3(), 1);
  ASSERT_TRUE(applied.table) << applied.table.error().message;
  EXPECT_EQ(applied.loaded.diagnostics.count(Severity::Warning), 0u) << applied.loaded.messages();
  EXPECT_EQ(applied.at("model.layers.3.mlp.experts").ruleLocation, "kt-deepseek-v3.yaml:30");
  EXPECT_EQ(applied.device("model.layers.3.mlp.experts"), "cpu");
  EXPECT_EQ(applied.device("model.embed_tokens"), "cpu");
  EXPECT_EQ(applied.device("lm_head"), "cuda:0");
  // The rule for matrices places blocks that consist of matrices; attention has a rule of its own.
  EXPECT_EQ(applied.at("model.layers.0.mlp").ruleLocation, "kt-deepseek-v3.yaml:13");
  EXPECT_EQ(applied.at("model.layers.3.mlp.shared_experts").ruleLocation, "kt-deepseek-v3.yaml:13");
  EXPECT_EQ(applied.at("model.layers.3.self_attn").ruleLocation, "kt-deepseek-v3.yaml:41");
  EXPECT_EQ(applied.at("model.layers.3.mlp.gate").ruleLocation, "kt-deepseek-v3.yaml:25");
  // Nothing names norms: they stay on the first GPU.
  EXPECT_EQ(applied.at("model.norm").rule, -1);
  EXPECT_EQ(applied.device("model.norm"), "cuda:0");
}

TEST(KTransformers, NotesOncePerKind) {
  Loaded loaded = Loaded::file(POLICY_INPUTS "kt-deepseek-v3.yaml");
  ASSERT_TRUE(loaded.policy);
  std::string text = loaded.messages();
  size_t first = text.find("'generate_op' has no effect");
  ASSERT_NE(first, std::string::npos);
  EXPECT_EQ(text.find("'generate_op' has no effect", first + 1), std::string::npos);
  EXPECT_TRUE(loaded.says("'out_device' has no effect: ktc plans the transfers itself"));
  EXPECT_TRUE(loaded.says("note: prefill runs on cpu like decode"));
}

TEST(KTransformers, TwoGpusByLayer) {
  Applied applied = apply("kt-multi-gpu.yaml", deepseekV3(), 2);
  ASSERT_TRUE(applied.table) << applied.table.error().message;
  EXPECT_EQ(applied.device("model.layers.29.self_attn.q_proj"), "cuda:0");
  EXPECT_EQ(applied.device("model.layers.30.self_attn.q_proj"), "cuda:1");
  EXPECT_EQ(applied.device("model.layers.3.mlp.experts"), "cuda:0");
  EXPECT_EQ(applied.device("model.layers.5.mlp.experts"), "cpu");
  EXPECT_EQ(applied.device("model.layers.60.mlp.shared_experts"), "cuda:1");
  EXPECT_EQ(applied.device("model.norm"), "cuda:1");
  // The residual sum has no module of its own and goes with its layer.
  EXPECT_EQ(applied.device("model.layers.29", "add"), "cuda:0");
  EXPECT_EQ(applied.device("model.layers.30", "add"), "cuda:1");
}

TEST(KTransformers, Qwen3AndItsClasses) {
  Applied applied = apply("kt-qwen3-amx.yaml", qwen3Moe(), 1);
  ASSERT_TRUE(applied.table) << applied.table.error().message;
  EXPECT_EQ(applied.loaded.diagnostics.count(Severity::Warning), 0u) << applied.loaded.messages();
  EXPECT_EQ(applied.device("model.layers.7.mlp.experts"), "cpu");
  EXPECT_EQ(applied.at("model.layers.7.mlp.gate").ruleLocation, "kt-qwen3-amx.yaml:10"); // a Linear here
  EXPECT_EQ(applied.at("model.norm").ruleLocation, "kt-qwen3-amx.yaml:35");
}

TEST(KTransformers, Glm4MoeAndItsClasses) {
  Applied applied = apply("kt-glm4moe.yaml", glm45Air(), 1);
  ASSERT_TRUE(applied.table) << applied.table.error().message;
  EXPECT_EQ(applied.loaded.diagnostics.count(Severity::Warning), 0u) << applied.loaded.messages();
  EXPECT_EQ(applied.device("model.layers.7.mlp.experts"), "cpu");
  EXPECT_EQ(applied.at("model.layers.7.mlp.gate").ruleLocation,
            "kt-glm4moe.yaml:12"); // a class of its own here
  EXPECT_EQ(applied.at("model.layers.7.self_attn").ruleLocation, "kt-glm4moe.yaml:21");
  EXPECT_EQ(applied.at("model.norm").ruleLocation, "kt-glm4moe.yaml:25");
}

// gpt-oss never had its experts in a list of modules.
TEST(KTransformers, GptOssClasses) {
  std::vector<ModuleRef> modules = modulesOf(gptOss());
  auto classesAt = [&](const std::string &path) {
    std::vector<std::string> classes;
    for (const ModuleRef &module : modules)
      if (module.path == path)
        classes.insert(classes.end(), module.hfClasses.begin(), module.hfClasses.end());
    return classes;
  };
  using testing::Contains;
  EXPECT_THAT(classesAt("model.layers.3.mlp.experts"), testing::ElementsAre("GptOssExperts"));
  EXPECT_THAT(classesAt("model.layers.3.mlp.router"), testing::ElementsAre("GptOssTopKRouter"));
  EXPECT_THAT(classesAt("model.layers.3.mlp"), Contains("GptOssMLP"));
  EXPECT_THAT(classesAt("model.layers.3.self_attn"), Contains("GptOssAttention"));
}

TEST(KTransformers, MixtralWithoutAttentionRule) {
  Applied applied = apply("kt-mixtral.yaml", mixtral(), 1);
  ASSERT_TRUE(applied.table) << applied.table.error().message;
  EXPECT_EQ(applied.loaded.diagnostics.count(Severity::Warning), 0u) << applied.loaded.messages();
  EXPECT_EQ(applied.at("model.layers.0.self_attn").ruleLocation, "kt-mixtral.yaml:4"); // where its matrices are
  EXPECT_EQ(applied.device("model.layers.0.block_sparse_moe.experts"), "cpu");         // default of the class
}

TEST(KTransformers, LayerwisePrefillKeepsPrefillDevices) {
  Applied applied = apply("kt-layerwise-prefill.yaml", deepseekV3(), 1);
  ASSERT_TRUE(applied.table) << applied.table.error().message;
  EXPECT_EQ(applied.at("model.layers.9.mlp.experts").device, "cpu");
  EXPECT_EQ(applied.at("model.layers.9.mlp.experts").prefillDevice, "cuda:0");
}

TEST(KTransformers, FileWithoutGpuStaysOnCpu) {
  Applied applied = apply("kt-cpu-linear.yaml", deepseekV3(), 0);
  ASSERT_TRUE(applied.table) << applied.table.error().message;
  for (size_t m = 0; m < applied.modules.size(); ++m)
    EXPECT_EQ(applied.table->placements[m].device, "cpu") << applied.modules[m].path;
}

TEST(KTransformers, MistakesAllReported) {
  Loaded loaded = Loaded::file(POLICY_INPUTS "kt-mistakes.yaml");
  EXPECT_FALSE(loaded.policy);
  for (const char *message :
       {"kt-mistakes.yaml:2:11: error: bad regular expression",
        "kt-mistakes.yaml:4:12: error: unknown replacement class "
        "'ktransformers.operators.linear.KTransformerLinear'; "
        "did you mean 'KTransformersLinear'?",
        "kt-mistakes.yaml:6:7: error: unknown key 'generate_devise' in 'kwargs'; did you mean "
        "'generate_device'?",
        "kt-mistakes.yaml:7:20: error: unknown generate_op 'KLinearMarlon'; did you mean 'KLinearMarlin'?",
        "kt-mistakes.yaml:10:12: warning: no known model has modules of class 'torch.nn.Liner'; did you mean "
        "'Linear'?",
        "kt-mistakes.yaml:13:31: error: unknown device 'xpu'",
        "kt-mistakes.yaml:14:14: error: 'recursive' needs True or False, but found the text 'False' in quotes",
        "kt-mistakes.yaml:17:3: error: unknown key 'replase' in a rule; did you mean 'replace'?",
        "kt-mistakes.yaml:16:5: error: unknown key 'klass' in 'match'; did you mean 'class'?",
        "kt-mistakes.yaml:15:3: error: the rule has no 'replace'",
        "kt-mistakes.yaml:22:49: warning: KExpertsMarlin runs on a GPU only, but the rule places the module on "
        "cpu"})
    EXPECT_TRUE(loaded.says(message)) << message << "\nin\n" << loaded.messages();
}

TEST(KTransformers, RecursiveFalsePlacesTheSubtree) {
  const char *rules = "- match: {name: '^model\\.layers\\.3$'}\n"
                      "  replace: {class: default, kwargs: {generate_device: cpu}}\n"
                      "  recursive: False\n"
                      "- match: {class: torch.nn.Linear}\n"
                      "  replace: {class: default, kwargs: {generate_device: cuda}}\n";
  Applied applied(Loaded(rules), deepseekV3(), serverWith(1));
  ASSERT_TRUE(applied.loaded.policy) << applied.loaded.messages();
  // Experts of all other layers do not fit, so only the choice of rules is looked at.
  Machine large = serverWith(1);
  large.gpus[0].memoryBytes = 1ull << 40;
  Applied placed(Loaded(rules), deepseekV3(), large);
  ASSERT_TRUE(placed.table) << placed.table.error().message;
  EXPECT_EQ(placed.device("model.layers.3.self_attn.q_proj"), "cpu");
  EXPECT_EQ(placed.device("model.layers.3.mlp.experts"), "cpu");
  EXPECT_EQ(placed.device("model.layers.4.self_attn.q_proj"), "cuda:0");
  EXPECT_EQ(placed.device("model.layers.30.self_attn.q_proj"), "cuda:0");
}

TEST(KTransformers, TypeErrors) {
  auto firstError = [](const std::string &text) { return Loaded(text).diagnostics.firstError(); };
  EXPECT_EQ(firstError("- 3"), "t.yaml:1:3: error: a rule needs 'match' and 'replace', but found the text '3'");
  EXPECT_EQ(firstError("- match: x\n  replace: {class: default}"),
            "t.yaml:1:10: error: 'match' needs 'name', 'class' or both, but found the text 'x'");
  EXPECT_EQ(firstError("- match: {name: [a]}\n  replace: {class: default}"),
            "t.yaml:1:17: error: 'name' needs a text, but found a list");
  EXPECT_EQ(firstError("- match: {name: a}\n  replace: {class: default, kwargs: [a]}"),
            "t.yaml:2:37: error: 'kwargs' needs a map, but found a list");
  EXPECT_EQ(firstError("- match: {name: a}\n  replace: {class: default, kwargs: {transfer_map: {x: cuda}}}"),
            "t.yaml:2:53: error: 'transfer_map' needs layer numbers as keys, but found the text 'x'");
  EXPECT_EQ(
      firstError("- match: {name: a}\n  replace: {kwargs: {per_layer_prefill_intput_threshold: many}}"),
      "t.yaml:2:58: error: 'per_layer_prefill_intput_threshold' needs a number of tokens, but found the text "
      "'many'");
}

} // namespace
} // namespace ktc::policy::test
