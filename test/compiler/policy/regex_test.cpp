// Regular expressions of rules: Python's spelling, and limits.
#include "compiler/policy/regex.h"

#include <gtest/gtest.h>

namespace ktc::policy {
namespace {

bool found(const char *pattern, const char *text) {
  kt::Result<Regex> regex = Regex::compile(pattern);
  EXPECT_TRUE(regex) << pattern;
  kt::Result<bool> result = regex->search(text);
  EXPECT_TRUE(result) << pattern;
  return *result;
}

TEST(RegexTest, SearchesAnywhere) {
  EXPECT_TRUE(found("mlp", "model.layers.3.mlp.experts"));
  EXPECT_TRUE(found("", "anything"));
  EXPECT_FALSE(found("^mlp", "model.layers.3.mlp"));
}

TEST(RegexTest, PatternsOfRuleFiles) {
  const char *noKvB = "^model\\.layers\\.(?!.*self_attn\\.kv_b_proj).*$";
  EXPECT_TRUE(found(noKvB, "model.layers.0.self_attn.q_proj"));
  EXPECT_FALSE(found(noKvB, "model.layers.0.self_attn.kv_b_proj"));
  const char *firstHalf = "^model\\.layers\\.(0|[1-9]|[12][0-9])\\.";
  EXPECT_TRUE(found(firstHalf, "model.layers.29.mlp"));
  EXPECT_FALSE(found(firstHalf, "model.layers.30.mlp"));
}

TEST(RegexTest, PythonSpellings) {
  EXPECT_TRUE(found("(?P<layer>\\d+)\\.mlp\\Z", "layers.3.mlp"));
  EXPECT_TRUE(found("(?P<n>\\d)\\.(?P=n)", "3.3"));
  EXPECT_TRUE(found("(?i)MLP$", "layers.3.mlp"));
  EXPECT_TRUE(found("\\\\Z", "a\\Z"));
}

TEST(RegexTest, BadPatternsNameThePosition) {
  kt::Result<Regex> regex = Regex::compile("a(b");
  ASSERT_FALSE(regex);
  EXPECT_EQ(regex.error().message, "bad regular expression 'a(b': missing closing parenthesis at position 4");
  EXPECT_FALSE(Regex::compile("[z-a]"));
  EXPECT_FALSE(Regex::compile("*"));
  EXPECT_FALSE(Regex::compile(std::string(5000, 'a')));
  EXPECT_FALSE(Regex::compile(std::string(2000, '(') + std::string(2000, ')')));
  EXPECT_FALSE(Regex::compile("\xff"));
}

TEST(RegexTest, BacktrackingWithoutEndIsAnError) {
  kt::Result<Regex> regex = Regex::compile("^(a+)+$");
  ASSERT_TRUE(regex);
  std::string text(64, 'a');
  EXPECT_FALSE(regex->search(text + "b"));
}

} // namespace
} // namespace ktc::policy
