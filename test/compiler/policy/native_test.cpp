// The native spelling and its diagnostics.
#include "test/compiler/policy/policy_fixture.h"

namespace ktc::policy::test {
namespace {

// Expects the text to fail with exactly this first error.
void expectError(const std::string &text, const std::string &message) {
  Loaded loaded(text);
  EXPECT_FALSE(loaded.policy) << text;
  EXPECT_EQ(loaded.diagnostics.firstError(), message);
}

TEST(NativePolicy, ParsesEverything) {
  Loaded loaded = Loaded::file(POLICY_INPUTS "native.yaml");
  ASSERT_TRUE(loaded.policy) << loaded.messages();
  EXPECT_EQ(loaded.messages(), "");
  const Policy &policy = *loaded.policy;
  EXPECT_EQ(policy.spelling, Spelling::Native);
  EXPECT_EQ(policy.budgets.at("cuda:0").bytes, 24ull << 30);
  EXPECT_EQ(policy.budgets.at("cpu").bytes, 512ull << 30);
  ASSERT_EQ(policy.rules.size(), 4u);
  EXPECT_EQ(policy.rules[0].layers, (std::vector<LayerRange>{{3, 5}, {60, 60}}));
  EXPECT_EQ(policy.rules[1].target, (Target{"cpu", "cuda:0"}));
  EXPECT_EQ(policy.rules[2].ops, (std::vector<std::string>{"gqa_attention", "mla_attention", "rms_norm"}));
  EXPECT_EQ(policy.rules[2].layers, (std::vector<LayerRange>{{0, 0}, {1, 2}}));
  EXPECT_EQ(policy.rules[3].target.device, "cuda:0");
  EXPECT_EQ(policy.rules[3].where.line, 10);
  EXPECT_EQ(policy.fallback.device, "auto");
}

TEST(NativePolicy, BuiltIns) {
  EXPECT_EQ(builtinPolicy("cpu")->fallback.device, "cpu");
  EXPECT_EQ(builtinPolicy("auto")->fallback.device, "auto");
  EXPECT_FALSE(builtinPolicy("gpu"));
}

TEST(NativePolicy, ReportsEverythingAtOnce) {
  Loaded loaded = Loaded::file(POLICY_INPUTS "mistakes.yaml");
  EXPECT_FALSE(loaded.policy);
  for (const char *message :
       {"mistakes.yaml:2:1: error: unknown key 'budgit' in the policy; did you mean 'budget'?",
        "mistakes.yaml:4:11: error: bad size '24G': say GiB (powers of 1024) or GB (powers of 1000)",
        "mistakes.yaml:5:3: error: unknown device 'gpu'; known: cpu, cuda, cuda:N",
        "mistakes.yaml:7:13: error: unknown key 'opp' in 'match'; did you mean 'op'?",
        "mistakes.yaml:9:17: error: unknown op 'exparts'; did you mean 'experts'?",
        "mistakes.yaml:9:34: error: bad layers '9-3': the range 9-3 ends before it begins",
        "mistakes.yaml:9:47: error: unknown format 'q4k'; did you mean 'q4_k'?",
        "mistakes.yaml:10:12: error: unknown device 'cdua:0'; known: cpu, cuda, cuda:N, auto",
        "mistakes.yaml:11:19: error: bad regular expression '(unclosed': missing closing parenthesis at "
        "position 10",
        "mistakes.yaml:12:12: error: 'device' needs a text, but found a list",
        "mistakes.yaml:14:5: error: unknown key 'plase' in a rule; did you mean 'place'?",
        "mistakes.yaml:13:5: error: the rule has no 'match'",
        "mistakes.yaml:15:21: error: 'layers' needs a text or a list of texts, but found a map",
        "mistakes.yaml:17:5: error: duplicate key 'place'; it is already given in line 16"})
    EXPECT_TRUE(loaded.says(message)) << message << "\nin\n" << loaded.messages();
}

TEST(NativePolicy, StructureErrors) {
  expectError("",
              "t.yaml:1:1: error: a policy is a map with 'version: 1' and 'rules', or a list of KTransformers "
              "rules, but found an empty value");
  expectError("just text", "t.yaml:1:1: error: a policy is a map with 'version: 1' and 'rules', or a list of "
                           "KTransformers rules, but found the text 'just text'");
  expectError("rules: []", "t.yaml:1:1: error: 'version: 1' is missing");
  expectError("version: 2", "t.yaml:1:10: error: 'version' must be 1, but found the text '2'");
  expectError("version: 1\nrules: {}", "t.yaml:2:8: error: 'rules' needs a list of rules, but found a map");
  expectError("version: 1\nrules: [x]",
              "t.yaml:2:9: error: a rule needs 'match' and 'place', but found the text 'x'");
  expectError(
      "version: 1\nrules:\n- {match: {}, place: cpu}",
      "t.yaml:3:11: error: 'match' needs at least one of path, op, layers, weight, format, but found an empty "
      "map; 'default' places what no rule matches");
  expectError("version: 1\nrules:\n- {match: {op: ffn}}", "t.yaml:3:3: error: the rule has no 'place'");
  expectError("version: 1\nrules:\n- {match: {op: ffn}, place: {prefill_device: cpu}}",
              "t.yaml:3:29: error: 'place' needs a 'device'");
  expectError("version: 1\nbudget: 24GiB",
              "t.yaml:2:9: error: 'budget' needs a map from devices to sizes, such as "
              "{cuda:0: 24GiB}, but found the text '24GiB'");
  expectError("version: 1\nbudget: {cuda: 1GiB, cuda:0: 2GiB}",
              "t.yaml:2:22: error: the budget of cuda:0 is already given in line 2");
  expectError("version: 1\ndefault: [cpu]", "t.yaml:2:10: error: 'device' needs a text, but found a list");
}

TEST(NativePolicy, MissingFile) {
  Loaded loaded = Loaded::file("no-such-file.yaml");
  EXPECT_FALSE(loaded.policy);
  EXPECT_EQ(loaded.messages(),
            "no-such-file.yaml: error: cannot read the file: No such file or directory; a rules "
            "file, 'auto' or 'cpu' is expected\n");
  EXPECT_FALSE(Loaded::file(POLICY_INPUTS).policy) << "a folder";
}

TEST(NativePolicy, ShadowedWithoutModel) {
  Loaded loaded("version: 1\nrules:\n"
                "- {match: {op: [experts, ffn], layers: 0-40}, place: cpu}\n"
                "- {match: {op: experts, layers: 3-9}, place: cpu}\n"
                "- {match: {op: experts, layers: 3-41}, place: cpu}\n"
                "- {match: {path: x}, place: cpu}\n"
                "- {match: {path: x, op: ffn}, place: cpu}\n");
  ASSERT_TRUE(loaded.policy);
  EXPECT_EQ(loaded.messages(),
            "t.yaml:4:3: warning: this rule is never used: the rule in line 3 takes everything it matches\n"
            "t.yaml:7:3: warning: this rule is never used: the rule in line 6 takes everything it matches\n");
}

TEST(NativePolicy, SurvivesDamage) {
  std::string text =
      "version: 1\nbudget: {cuda:0: 24GiB}\nrules:\n  - match: {op: [experts], layers: \"0-9,12\", path: "
      "'a|b', weight: x, format: q4_k}\n    place: {device: cpu, prefill_device: cuda}\ndefault: auto\n";
  ASSERT_TRUE(Loaded(text).policy) << Loaded(text).messages();
  for (size_t at = 0; at < text.size(); ++at)
    for (char byte : {'\0', '\xff', '[', '{', ':', '-', ' ', '\n', '9'}) {
      std::string damaged = text;
      damaged[at] = byte;
      Loaded loaded(damaged);
      EXPECT_EQ(static_cast<bool>(loaded.policy), !loaded.diagnostics.hasErrors());
    }
}

} // namespace
} // namespace ktc::policy::test
