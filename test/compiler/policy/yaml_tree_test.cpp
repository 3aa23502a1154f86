// The YAML tree: positions, merge keys, and files that try to hurt.
#include "compiler/policy/yaml_tree.h"

#include <gtest/gtest.h>

namespace ktc::policy {
namespace {

// The tree of `text`, and what was said about it.
struct Parsed {
  Diagnostics diagnostics;
  YamlNodePtr root;
  explicit Parsed(const std::string &text) : root(parseYaml(text, "t.yaml", diagnostics)) {}
  std::string messages() const { return diagnostics.str(); }
};

TEST(YamlTree, PositionsAndKinds) {
  Parsed parsed("a:\n  - 'x'\n  - {b: True}\nc:\n");
  ASSERT_TRUE(parsed.root) << parsed.messages();
  const YamlNode *list = parsed.root->find("a");
  ASSERT_TRUE(list && list->isSequence());
  EXPECT_EQ(list->items[0]->where.str(), "t.yaml:2:5");
  EXPECT_TRUE(list->items[0]->quoted);
  EXPECT_EQ(list->items[1]->find("b")->asBool(), true);
  EXPECT_EQ(parsed.root->find("c")->kind, YamlNode::Kind::Null);
  EXPECT_EQ(parsed.root->find("zz"), nullptr);
}

TEST(YamlTree, EmptyTextIsNull) {
  for (const char *text : {"", "\n\n", "# only a comment\n", "---\n"}) {
    Parsed parsed(text);
    ASSERT_TRUE(parsed.root) << text;
    EXPECT_EQ(parsed.root->kind, YamlNode::Kind::Null) << text;
  }
}

TEST(YamlTree, MergeKeys) {
  Parsed parsed("base: &b {x: 1, y: 2}\nuser: {<<: *b, y: 3}\n");
  ASSERT_TRUE(parsed.root) << parsed.messages();
  const YamlNode *user = parsed.root->find("user");
  EXPECT_EQ(user->find("x")->scalar, "1");
  EXPECT_EQ(user->find("y")->scalar, "3");
  EXPECT_EQ(user->find("<<"), nullptr);
}

TEST(YamlTree, DuplicateKeyNamesBothPlaces) {
  Parsed parsed("a: 1\nb: 2\na: 3\n");
  EXPECT_EQ(parsed.messages(), "t.yaml:3:1: error: duplicate key 'a'; it is already given in line 1\n");
}

TEST(YamlTree, SyntaxErrorHasPosition) {
  Parsed parsed("a: [1, 2\nb: 3\n");
  EXPECT_FALSE(parsed.root);
  EXPECT_NE(parsed.messages().find("t.yaml:2:"), std::string::npos) << parsed.messages();
  EXPECT_NE(parsed.messages().find("error: YAML syntax error"), std::string::npos);
}

TEST(YamlTree, RefusesExpandingAliases) {
  std::string text = "- &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 20; ++i) {
    text += "- &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j)
      text += std::string(j ? ", " : "") + "*a" + std::to_string(i - 1);
    text += "]\n";
  }
  Parsed parsed(text);
  EXPECT_FALSE(parsed.root);
  EXPECT_NE(parsed.messages().find("expands to more than"), std::string::npos) << parsed.messages();
}

TEST(YamlTree, RefusesCycles) {
  Parsed parsed("a: &x\n  b: *x\n");
  EXPECT_FALSE(parsed.root);
  EXPECT_NE(parsed.messages().find("contains it"), std::string::npos) << parsed.messages();
}

TEST(YamlTree, RefusesDepthAndSize) {
  EXPECT_FALSE(Parsed(std::string(100'000, '[')).root);
  EXPECT_FALSE(Parsed(std::string(200, '[') + std::string(200, ']')).root);
  std::string nested;
  for (int i = 0; i < 300; ++i)
    nested += std::string(i, ' ') + "a:\n";
  EXPECT_FALSE(Parsed(nested).root);
  EXPECT_FALSE(Parsed(std::string(kMaxYamlBytes + 1, '#')).root);
}

TEST(YamlTree, RefusesOddThings) {
  EXPECT_NE(Parsed("a: *nowhere\n").messages().find("error"), std::string::npos);
  EXPECT_NE(Parsed("a: !!python/object:os.system x\n").messages().find("tag"), std::string::npos);
  EXPECT_NE(Parsed("a: !custom x\n").messages().find("tag"), std::string::npos);
  EXPECT_NE(Parsed("{[1, 2]: x}\n").messages().find("key"), std::string::npos);
  EXPECT_NE(Parsed("a: 1\n---\nb: 2\n").messages().find("second YAML document"), std::string::npos);
  EXPECT_NE(Parsed("a: {<<: 3}\n").messages().find("merge key"), std::string::npos);
}

// Every prefix of a file, and the file with any byte replaced, ends in a tree or in errors.
TEST(YamlTree, SurvivesDamage) {
  std::string text = "a: &x {b: [1, 'two', \"three\\n\"], c: |\n    block\n  }\nd: *x\n? k\n: v\n";
  for (size_t cut = 0; cut <= text.size(); ++cut)
    Parsed{text.substr(0, cut)};
  for (size_t at = 0; at < text.size(); ++at)
    for (char byte : {'\0', '\xff', '[', '}', ':', '&', '*', '!', '%', '\t', '"'}) {
      std::string damaged = text;
      damaged[at] = byte;
      Parsed parsed(damaged);
      EXPECT_TRUE(parsed.root || parsed.diagnostics.hasErrors());
    }
}

} // namespace
} // namespace ktc::policy
