// Matching native rules with modules, and the diagnostics that need a model.
#include "test/compiler/policy/policy_fixture.h"

namespace ktc::policy::test {
namespace {

TEST(Match, FirstMatchWins) {
  Applied applied(Loaded("version: 1\nrules:\n"
                         "- {match: {op: experts, layers: 4}, place: cuda}\n"
                         "- {match: {op: experts}, place: {device: cpu, prefill_device: cuda}}\n"
                         "- {match: {path: '\\.self_attn\\.'}, place: cuda}\n"),
                  deepseekV3(), serverWith(1));
  ASSERT_TRUE(applied.table) << applied.table.error().message;
  EXPECT_EQ(applied.at("model.layers.4.mlp.experts").ruleLocation, "t.yaml:3");
  EXPECT_EQ(applied.at("model.layers.5.mlp.experts").ruleLocation, "t.yaml:4");
  EXPECT_EQ(applied.at("model.layers.5.mlp.experts").prefillDevice, "cuda:0");
  EXPECT_EQ(applied.device("model.layers.5.self_attn.q_proj"), "cuda:0");
  EXPECT_EQ(applied.device("model.layers.5.self_attn"), "cpu"); // the default
  EXPECT_EQ(applied.at("model.layers.5.self_attn").rule, -1);
}

TEST(Match, WeightsAndFormats) {
  Applied applied(Loaded("version: 1\nrules:\n"
                         "- {match: {weight: '^blk\\.7\\..*_exps'}, place: cuda}\n"
                         "- {match: {format: q8_0}, place: cuda}\n"
                         "- {match: {layers: 0-}, place: cpu}\n"
                         "default: cuda:1\n"),
                  deepseekV3(), serverWith(2));
  ASSERT_TRUE(applied.table) << applied.table.error().message;
  EXPECT_EQ(applied.device("model.layers.7.mlp.experts"), "cuda:0");
  EXPECT_EQ(applied.device("model.layers.8.mlp.experts"), "cpu");
  EXPECT_EQ(applied.device("model.layers.8.self_attn"), "cuda:0");
  EXPECT_EQ(applied.device("lm_head"), "cuda:1"); // in no layer, so no layer range matches
}

TEST(Match, UnusedRulesAreReported) {
  Applied applied(Loaded::file(POLICY_INPUTS "shadowed.yaml"), deepseekV3(), serverWith(0));
  ASSERT_TRUE(applied.table);
  for (const char *message :
       {"shadowed.yaml:5:5: warning: this rule is never used: the rule in line 3 takes everything it matches",
        "shadowed.yaml:9:5: warning: this rule is never used: earlier rules take everything it matches (line "
        "7)",
        "shadowed.yaml:11:5: warning: this rule matches nothing in this model"})
    EXPECT_TRUE(applied.loaded.says(message)) << message << "\nin\n" << applied.loaded.messages();
  EXPECT_EQ(applied.loaded.diagnostics.count(Severity::Warning), 3u);
}

TEST(Match, ExceededBudgetListsTheLargestFirst) {
  Applied applied(Loaded::file(POLICY_INPUTS "native.yaml"), deepseekV3(), serverWith(1));
  EXPECT_FALSE(applied.table);
  EXPECT_TRUE(
      applied.loaded.says("native.yaml:2:18: error: the budget of cuda:0 is exceeded: 28.6 GiB of 24.0 GiB; "
                          "largest first: model.layers.{3-5,60}.mlp.experts 27.2 GiB, "
                          "model.layers.{3-60}.mlp.shared_experts 1.34 GiB"))
      << applied.loaded.messages();
}

TEST(Match, MemoryOfTheGpuIsABudget) {
  Applied applied(Loaded("version: 1\ndefault: cuda"), deepseekV3(), serverWith(1));
  EXPECT_FALSE(applied.table);
  EXPECT_TRUE(
      applied.loaded.says("t.yaml: error: the weights on cuda:0 take 410 GiB, but it has room for 21.6 GiB"));
}

TEST(Match, CommandLineBudgetWins) {
  Loaded loaded = Loaded::file(SHIPPED_RULES "deepseek.yaml");
  ASSERT_TRUE(loaded.policy);
  overrideBudget(*loaded.policy, "cuda:0", 1ull << 30, "--gpu-mem");
  Applied applied(std::move(loaded), deepseekV3(), serverWith(1));
  EXPECT_FALSE(applied.table);
  EXPECT_TRUE(applied.loaded.says("--gpu-mem: error: the budget of cuda:0 is exceeded"))
      << applied.loaded.messages();
}

TEST(Match, MissingDeviceIsAWarning) {
  Applied applied(Loaded::file(SHIPPED_RULES "deepseek.yaml"), deepseekV3(), serverWith(0));
  ASSERT_TRUE(applied.table);
  EXPECT_EQ(applied.device("lm_head"), "cuda:0");
  EXPECT_EQ(applied.loaded.diagnostics.count(Severity::Warning), 1u) << applied.loaded.messages();
  EXPECT_TRUE(applied.loaded.says("modules are placed on cuda:0, which the machine description does not have"));
}

TEST(Match, RunawayExpressionIsAnError) {
  Applied applied(Loaded("version: 1\nrules:\n- {match: {path: '^(([a-z_.0-9])+)+[!?]$'}, place: cpu}"),
                  deepseekV3(), serverWith(0));
  EXPECT_FALSE(applied.table);
  EXPECT_EQ(applied.loaded.messages().rfind("t.yaml:3:3: error: the regular expression", 0), 0u)
      << applied.loaded.messages();
}

TEST(Match, SharedWeightsCountOnce) {
  std::vector<ModuleRef> modules(2);
  for (ModuleRef &module : modules)
    module.weights = {{"token_embd.weight", "q4_k", 1000, 10}};
  modules[0].path = "model.embed_tokens";
  modules[0].op = "embed";
  modules[1].path = "lm_head";
  modules[1].op = "lm_head";
  Diagnostics diagnostics;
  auto table = applyPolicy(*builtinPolicy("cpu"), modules, serverWith(0), diagnostics);
  ASSERT_TRUE(table);
  EXPECT_EQ(table->devices[0].bytes, 1000u);
}

TEST(Match, NoModulesAtAll) {
  Diagnostics diagnostics;
  auto table = applyPolicy(*builtinPolicy("auto"), {}, serverWith(1), diagnostics);
  ASSERT_TRUE(table);
  EXPECT_TRUE(table->placements.empty());
}

TEST(Match, PathPatterns) {
  ModuleRef module;
  module.path = "model.layers.3.mlp.experts";
  module.layer = 3;
  EXPECT_EQ(pathPattern(module), "model.layers.{}.mlp.experts");
  module.path = "model.layers.30.x.3";
  EXPECT_EQ(pathPattern(module), "model.layers.30.x.{}");
  module.layer = -1;
  EXPECT_EQ(pathPattern(module), "model.layers.30.x.3");
}

} // namespace
} // namespace ktc::policy::test
