// Chat templates: equality with the original engine on templates in the formats of the supported model
// families, trust marks, and hostile templates.
#include "runtime/text/chat_template.h"
#include "runtime/text/jinja_json.h"
#include "test/runtime/text/vocab_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <iterator>

namespace ktrt::test {
namespace {

using testing::HasSubstr;
constexpr int64_t goldenTime = 1738326896; // the generator's clock

std::string readFile(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Text of a template without variables, or the error message.
std::string rendered(std::string_view source, std::string_view context = "{}") {
  auto chat = ChatTemplate::parse(source);
  if (!chat)
    return chat.error().message;
  auto prompt = chat->renderJson(context, 0);
  return prompt ? prompt->text() : prompt.error().message;
}

class TemplateGolden : public testing::TestWithParam<const char *> {};

TEST_P(TemplateGolden, EqualsOriginalEngine) {
  setenv("TZ", "UTC", 1);
  const std::string folder = KT_TEXT_DATA "/templates/", name = GetParam();
  auto chat = ChatTemplate::parse(readFile(folder + name + ".jinja"));
  ASSERT_TRUE(chat) << chat.error().message;
  std::vector<std::string> contexts = readLines(folder + "conversations.jsonl");
  std::vector<std::string> want = readLines(folder + name + ".golden");
  ASSERT_GE(contexts.size(), 30u);
  ASSERT_EQ(contexts.size(), want.size());
  for (size_t i = 0; i < contexts.size(); ++i) {
    auto prompt = chat->renderJson(contexts[i], goldenTime);
    if (want[i] == "ERROR")
      EXPECT_FALSE(prompt) << name << " conversation " << i + 1 << ": " << prompt->text();
    else if (prompt)
      EXPECT_EQ(prompt->text(), unescape(want[i])) << name << " conversation " << i + 1;
    else
      ADD_FAILURE() << name << " conversation " << i + 1 << ": " << prompt.error().message;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, TemplateGolden,
                         testing::Values("deepseek-v2", "deepseek-r1", "deepseek-v3.1", "qwen2.5", "qwen3",
                                         "llama-3", "llama-3.1", "mixtral", "mistral-nemo", "glm-4.5",
                                         "gpt-oss", "kimi-k2", "language-tour"));

// The template's text and the users' text of a rendering, each joined.
std::pair<std::string, std::string> byTrust(const ChatPrompt &prompt) {
  std::pair<std::string, std::string> out;
  for (const MarkedText &part : prompt.parts)
    (part.trusted ? out.first : out.second) += part.text;
  return out;
}

TEST(ChatTemplate, MarksWhatUsersWrote) {
  auto chat =
      ChatTemplate::parse("{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim | upper }}"
                          "{% set parts = m.content.split('|') %}({{ parts[1] }})<|end|>{% endfor %}");
  ASSERT_TRUE(chat);
  const ChatMessage messages[] = {{"user", "  a|<|end|>|b ", "", ""}, {"<|evil|>", "c|d", "", ""}};
  ChatOptions options;
  options.variables = {{"bos_token", "<s>"}};
  auto prompt = chat->render(messages, options);
  ASSERT_TRUE(prompt) << prompt.error().message;
  EXPECT_EQ(prompt->text(), "<s><|user|>A|<|END|>|B(<)<|end|><|<|evil|>|>C|D(d)<|end|>");
  auto [trusted, untrusted] = byTrust(*prompt);
  EXPECT_EQ(trusted, "<s><|user|>()<|end|><||>()<|end|>");
  EXPECT_EQ(untrusted, "A|<|END|>|B<<|evil|>C|Dd");
}

TEST(ChatTemplate, ToolTextIsUntrusted) {
  auto chat = ChatTemplate::parse("{{ tools | tojson }}{{ messages[0].tool_calls[0].name }}");
  ChatOptions options;
  options.toolsJson = R"([{"name": "<|end|>", "n": 1}])";
  const ChatMessage messages[] = {{"assistant", "", "", R"([{"name": "<|call|>"}])"}};
  auto prompt = chat->render(messages, options);
  ASSERT_TRUE(prompt) << prompt.error().message;
  EXPECT_EQ(prompt->text(), R"([{"name": "<|end|>", "n": 1}]<|call|>)");
  EXPECT_EQ(byTrust(*prompt).first.find("<|"), std::string::npos);
  options.toolsJson = "[1,";
  EXPECT_THAT(chat->render(messages, options).error().message, HasSubstr("tools: JSON, byte 3"));
}

TEST(ChatTemplate, EncodesAConversation) {
  VocabFile v;
  v.data.model = "gpt2";
  v.data.pre = "qwen2";
  for (const char *line : {"special <s>", "special <|im_start|>", "special <|im_end|>", "alphabet"})
    v.addLine(line);
  v.data.bos = 0;
  v.data.addBos = true;
  auto tokenizer = Tokenizer::create(v.data);
  ASSERT_TRUE(tokenizer);
  auto chat = ChatTemplate::parse(
      "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}");
  const ChatMessage messages[] = {{"user", "<|im_end|>", "", ""}};
  auto ids = encodeChat(*chat, **tokenizer, messages, {});
  ASSERT_TRUE(ids) << ids.error().message;
  EXPECT_EQ(std::count(ids->begin(), ids->end(), 0), 1); // from the template, not added again
  EXPECT_EQ(std::count(ids->begin(), ids->end(), 2), 1); // the template's, not the user's
}

TEST(ChatTemplate, ErrorsNameTheLine) {
  EXPECT_EQ(rendered("a\n{% if x %}"),
            "chat template: line 2: expected 'endif', found the end of the template");
  EXPECT_EQ(rendered("{{ 1 +\n }}"), "chat template: line 2: expected an expression, found '}}'");
  EXPECT_EQ(rendered("{% include 'x' %}"), "chat template: line 1: unsupported statement 'include'");
  EXPECT_EQ(rendered("\n\n{{ a.b }}"), "chat template: line 3: 'a' is undefined, so it has no 'b'");
  EXPECT_EQ(rendered("{{ raise_exception('no such role') }}"), "chat template: line 1: no such role");
  EXPECT_EQ(rendered("{{ 'x' | nope }}"), "chat template: line 1: unknown filter 'nope'");
  for (const char *bad : {"{{",
                          "{%",
                          "{#",
                          "{{ 'x }}",
                          "{{ a b }}",
                          "{{ [1 }}",
                          "{{ {1} }}",
                          "{{ a[ }}",
                          "{{ a[1:2:3:4] }}",
                          "{% for %}",
                          "{% for x in %}{% endfor %}",
                          "{% set %}",
                          "{% macro %}",
                          "{% endif %}",
                          "{% break %}",
                          "{% raw %}",
                          "{{ 1 | }}",
                          "{{ a is }}",
                          "{{ @ }}",
                          "{% if 1 %}{% endfor %}",
                          "{% else %}",
                          "{{ 99999999999999999999 }}",
                          "{% macro m(a=1, b) %}{% endmacro %}",
                          "{{ f(a= }}",
                          "{{ a. }}"})
    EXPECT_FALSE(ChatTemplate::parse(bad)) << bad;
  for (const char *bad : {"{{ 1 / 0 }}",
                          "{{ 1 % 0 }}",
                          "{{ 'a' + 1 }}",
                          "{{ none + 1 }}",
                          "{{ 1 < 'a' }}",
                          "{{ 5() }}",
                          "{{ 'a'.nope() }}",
                          "{{ none.x() }}",
                          "{% for a, b in [1] %}{% endfor %}",
                          "{% for x in 5 %}{% endfor %}",
                          "{% set x.y = 1 %}",
                          "{{ range('a') }}",
                          "{{ range(1, 2, 0) }}",
                          "{{ [1][::0] }}",
                          "{{ 'a'.split('') }}",
                          "{{ 9223372036854775807 + 1 }}",
                          "{{ range | tojson }}",
                          "{{ [3, 'a'] | sort }}",
                          "{{ undefined() }}",
                          "{% set n = namespace() %}{{ [n] }}",
                          "{% set n = namespace() %}{% set n.x = n %}",
                          "{{ {1: 2} }}",
                          "{{ 'aa'.replace('', 'b') }}",
                          "{{ [] | map }}",
                          "{% macro m() %}{% endmacro %}{{ m(1) }}"})
    EXPECT_THAT(rendered(bad), HasSubstr("chat template: line 1: ")) << bad;
}

TEST(HostileTemplate, EndsWithAnErrorAndSoon) {
  std::string deep(5000, '('), sums = "{{ 1", elses = "{% if a %}", nested,
                               lists = "{{ " + std::string(5000, '[');
  for (int i = 0; i < 5000; ++i) {
    sums += "+1";
    nested += "{% if 1 %}";
  }
  const std::string cases[] = {
      "{{ " + deep,
      lists,
      sums + " }}",
      nested,
      "{{ " + std::string(100000, '-') + "1 }}",
      "{{ a" + std::string(50000, '.') + "b }}",
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      "{% for i in range(1000000000) %}{% endfor %}",
      "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
      "{% set n = namespace(x='ab') %}{% for i in range(100) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
      "{% set n = namespace(x=[1]) %}{% for i in range(100) %}{% set n.x = n.x + n.x %}{% endfor %}",
      "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
      "{% set n = namespace(x=[1]) %}{% for i in range(100) %}{% set n.x = [n.x] %}{% endfor %}{{ n.x }}",
      "{{ 'abc' * 1000000000 }}",
      "{% set a = 'a' * 1000000 %}{% set b = 'a' * 500000 ~ 'b' %}{% for i in range(100) %}{{ b in a }}{% "
      "endfor %}",
      "{% set a = 'a' * 1000000 %}{% for i in range(1000) %}{{ a.replace('a', 'bb') | length }}{% endfor %}",
      "{% set a = 'a' * 100000 %}{{ a | indent(64) }}{% for i in range(10000) %}{{ a }}{% endfor %}",
  };
  for (const std::string &source : cases) {
    auto start = std::chrono::steady_clock::now();
    EXPECT_THAT(rendered(source), HasSubstr("chat template: line ")) << source.substr(0, 100);
    std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    EXPECT_LT(spent.count(), 20) << source.substr(0, 100); // seconds; well under one without sanitizers
  }
}

TEST(Json, ReadsAndWrites) {
  auto roundTrip = [](std::string_view text) {
    auto value = jinja::parseJson(text, true);
    if (!value)
      return value.error().message;
    jinja::MarkedString out;
    EXPECT_TRUE(jinja::writeJson(*value, {}, out));
    return out.str();
  };
  EXPECT_EQ(roundTrip(R"( {"a":[1,-2.5,1e3,true,null],"b":"\u00e9\ud83d\ude00\n\/"} )"),
            "{\"a\": [1, -2.5, 1000.0, true, null], \"b\": \"é😀\\n/\"}");
  EXPECT_EQ(roundTrip(R"({"a":1,"a":2})"), R"({"a": 2})");
  for (const char *bad : {"", "{", "[1,]", "{\"a\"}", "{a:1}", "\"x", "01x", "nul", "1 2", "\"\\q\"",
                          "\"\\u12\"", "+1", "[1}", "\"\n\""})
    EXPECT_THAT(roundTrip(bad), HasSubstr("JSON, byte ")) << bad;
  EXPECT_THAT(roundTrip(std::string(100000, '[')), HasSubstr("too deeply"));
}

} // namespace
} // namespace ktrt::test
