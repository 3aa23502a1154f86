// `ktc check-rules` as a function.
#include "compiler/policy/check_rules.h"
#include "test/compiler/policy/policy_fixture.h"

namespace ktc::policy::test {
namespace {

TEST(CheckRules, UsableFile) {
  CheckRulesResult result = checkRules(SHIPPED_RULES "cpu.yaml");
  EXPECT_EQ(result.exitCode, 0);
  EXPECT_EQ(result.messages, "");
  EXPECT_NE(result.output.find("cpu.yaml: 0 rules (native), 0 warnings\n"), std::string::npos) << result.output;
}

TEST(CheckRules, BuiltIn) { EXPECT_EQ(checkRules("auto").output, "auto: 1 rule (built-in), 0 warnings\n"); }

TEST(CheckRules, BadFile) {
  CheckRulesResult result = checkRules(POLICY_INPUTS "mistakes.yaml");
  EXPECT_EQ(result.exitCode, 1);
  EXPECT_EQ(result.output, "");
  EXPECT_NE(result.messages.find("mistakes.yaml:2:1: error: "), std::string::npos);
}

TEST(CheckRules, ModelFindsMore) {
  std::vector<ModuleRef> modules = modulesOf(deepseekV3());
  EXPECT_EQ(checkRules(POLICY_INPUTS "native.yaml").exitCode, 0);
  CheckRulesResult result = checkRules(POLICY_INPUTS "native.yaml", modules, serverWith(1));
  EXPECT_EQ(result.exitCode, 1);
  EXPECT_NE(result.messages.find("the budget of cuda:0 is exceeded"), std::string::npos);
  CheckRulesResult warned = checkRules(POLICY_INPUTS "shadowed.yaml", modules, serverWith(1));
  EXPECT_EQ(warned.exitCode, 0);
  EXPECT_NE(warned.output.find("5 rules (native), 3 warnings"), std::string::npos) << warned.output;
}

} // namespace
} // namespace ktc::policy::test
