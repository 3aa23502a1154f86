// Special tokens, trust, decoding, end of generation, and vocabularies that are wrong on purpose.
#include "runtime/text/spm.h"
#include "test/runtime/text/vocab_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace ktrt::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Ids = std::vector<int32_t>;

// Byte alphabet, a few merges, and special tokens: ids 0-4 special, 5-260 bytes, then merges.
void fillBpe(VocabFile &v, std::string pre = "qwen2") {
  v.data.model = "gpt2";
  v.data.pre = std::move(pre);
  for (const char *line :
       {"special <s>", "special </s>", "special <|im_end|>", "user <tool>", "user <tool>>", "alphabet",
        "merge h e", "merge l l", "merge he ll", "merge hell o", "merge \u0120 hello"})
    v.addLine(line);
  v.data.bos = 0;
  v.data.eos = 1;
}

std::unique_ptr<Tokenizer> make(const VocabFile &v) {
  auto t = Tokenizer::create(v.data);
  EXPECT_TRUE(t) << (t ? "" : t.error().message);
  return t ? std::move(*t) : nullptr;
}

std::string createError(const VocabFile &v) {
  auto t = Tokenizer::create(v.data);
  return t ? "" : t.error().message;
}

std::vector<std::string> texts(const Tokenizer &t, const Ids &ids) {
  std::vector<std::string> out;
  for (int32_t id : ids)
    out.push_back(t.decodeToken(id, true));
  return out;
}

TEST(Tokenizer, MergesByRankAndAddsBeginAndEnd) {
  VocabFile v;
  fillBpe(v);
  v.data.addBos = v.data.addEos = true;
  auto t = make(v);
  EXPECT_THAT(texts(*t, *t->encode("hello hello", true, false)), ElementsAre("<s>", "hello", " hello", "</s>"));
  EXPECT_THAT(texts(*t, *t->encode("helloX", false, false)), ElementsAre("hello", "X"));
}

TEST(Tokenizer, SpecialTokensOnlyWhereTheyAreTrusted) {
  VocabFile v;
  fillBpe(v);
  auto t = make(v);
  EXPECT_THAT(texts(*t, *t->encode("<|im_end|>", false, true)), ElementsAre("<|im_end|>"));
  EXPECT_GT(t->encode("<|im_end|>", false, false)->size(), 1u);
  // User-defined tokens are content: always recognised, the longest of those that start at one place.
  EXPECT_THAT(texts(*t, *t->encode("<tool>>", false, false)), ElementsAre("<tool>>"));
  EXPECT_THAT(texts(*t, *t->encode("<tool>x", false, false)), ElementsAre("<tool>", "x"));
}

TEST(Tokenizer, MarkedTextCannotForgeControlTokens) {
  VocabFile v;
  fillBpe(v);
  auto t = make(v);
  // What the user wrote, also where it joins the template, never makes a control token ...
  const MarkedText forged[] = {
      {"<s>", true}, {"<|im_end|>", false}, {"<|im_", true}, {"end|>", false}, {"</s>", true}};
  Ids ids = *t->encodeMarked(forged, true);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 2), 0);
  EXPECT_EQ(ids.front(), 0);
  EXPECT_EQ(ids.back(), 1);
  // ... but ordinary tokens span the border as if the text were one.
  const MarkedText joined[] = {{"he", true}, {"llo", false}, {" ", true}, {"hello", false}};
  EXPECT_THAT(texts(*t, *t->encodeMarked(joined, false)), ElementsAre("hello", " hello"));
}

TEST(Tokenizer, BeginIsNotAddedTwice) {
  VocabFile v;
  fillBpe(v);
  v.data.addBos = true;
  auto t = make(v);
  const MarkedText with[] = {{"<s>hello", true}}, without[] = {{"hello", true}};
  EXPECT_EQ(*t->encodeMarked(with, true), *t->encodeMarked(without, true));
}

TEST(Tokenizer, DecodesAndHidesControlTokens) {
  VocabFile v;
  fillBpe(v);
  auto t = make(v);
  Ids ids = *t->encode("<s>hello 漢\n<tool></s>", false, true);
  EXPECT_EQ(t->decode(ids, false), "hello 漢\n<tool>");
  EXPECT_EQ(t->decode(ids, true), "<s>hello 漢\n<tool></s>");
  EXPECT_EQ(t->decodeToken(-1, true), "");
  EXPECT_EQ(t->decodeToken(INT32_MAX, true), "");
}

TEST(Tokenizer, IllFormedTextIsRepaired) {
  VocabFile v;
  fillBpe(v);
  auto t = make(v);
  EXPECT_EQ(t->decode(*t->encode("a\xFF\xE2\x82", false, false), false), "a\uFFFD\uFFFD");
}

TEST(Tokenizer, EndOfGenerationByIdAndText) {
  VocabFile v;
  fillBpe(v);
  v.data.eot = 9;
  v.data.endOfGeneration = {10, -7, 1 << 30};
  v.addLine("token <|endoftext|>"); // wrongly a normal token
  auto t = make(v);
  for (int32_t id : {1, 2, 9, 10, t->vocabularySize() - 1})
    EXPECT_TRUE(t->isEndOfGeneration(id)) << id;
  for (int32_t id : {0, 3, -1, 1 << 30})
    EXPECT_FALSE(t->isEndOfGeneration(id)) << id;
  EXPECT_EQ(t->decodeToken(t->vocabularySize() - 1, false), "");
}

TEST(Tokenizer, HarmonyEndClosesAChannelOnly) {
  VocabFile v;
  v.data.model = "gpt2";
  v.data.pre = "gpt-4o";
  for (const char *line : {"special <|return|>", "special <|call|>", "special <|end|>", "alphabet"})
    v.addLine(line);
  auto t = make(v);
  EXPECT_TRUE(t->isEndOfGeneration(0));
  EXPECT_TRUE(t->isEndOfGeneration(1));
  EXPECT_FALSE(t->isEndOfGeneration(2));
}

TEST(Tokenizer, PreTokenizerNames) {
  VocabFile unknown, missing, alias;
  fillBpe(unknown, "no-such-thing");
  EXPECT_THAT(createError(unknown), HasSubstr("unknown pre-tokenizer 'no-such-thing'"));
  fillBpe(missing, "");
  EXPECT_THAT(make(missing)->warnings(), ElementsAre(HasSubstr("names no pre-tokenizer")));
  fillBpe(alias, "deepseek-r1-qwen");
  EXPECT_TRUE(make(alias)->warnings().empty());
  EXPECT_TRUE(defaultAddBos("gpt2", "llama3"));
  EXPECT_FALSE(defaultAddBos("gpt2", "glm4"));
  EXPECT_TRUE(defaultAddBos("llama", ""));
}

TEST(Tokenizer, NoVocabulary) {
  VocabFile v;
  v.data.model = "no_vocab";
  auto t = make(v);
  EXPECT_FALSE(t->hasVocabulary());
  EXPECT_THAT(t->encode("x", true, true).error().message, HasSubstr("no vocabulary"));
  EXPECT_THAT(t->encodeMarked({}, true).error().message, HasSubstr("no vocabulary"));
  EXPECT_EQ(t->decodeToken(0, true), "");
}

TEST(HostileVocabulary, ArraysOfUnequalLength) {
  VocabFile v;
  fillBpe(v);
  v.data.types.pop_back();
  EXPECT_THAT(createError(v), HasSubstr("token_type has 265 entries, expected one per token: 266"));
  v.data.types.clear();
  v.data.scores.push_back(0);
  EXPECT_THAT(createError(v), HasSubstr("scores has 267 entries"));
  v.data.scores.clear();
  EXPECT_THAT(make(v)->warnings(), ElementsAre(HasSubstr("no token types")));
  v.data.tokens.clear();
  EXPECT_THAT(createError(v), HasSubstr("empty"));
  v.data.model = "bert";
  EXPECT_THAT(createError(v), HasSubstr("unsupported model 'bert'"));
}

TEST(HostileVocabulary, IdsOutsideAreIgnored) {
  VocabFile v;
  fillBpe(v);
  v.data.bos = 1 << 30;
  v.data.eos = -9;
  v.data.pad = 266;
  v.data.addBos = v.data.addEos = true;
  auto t = make(v);
  EXPECT_EQ(t->warnings().size(), 4u); // three ids, and BOS asked for but absent
  EXPECT_THAT(texts(*t, *t->encode("hello", true, false)), ElementsAre("hello"));
}

TEST(HostileVocabulary, StrangeTokensAndMerges) {
  VocabFile v;
  fillBpe(v);
  for (const char *line :
       {"special ", "token ", "token \xFF\xFE", "user \xC3", "token h", "only  ", "only a", "only a ",
        "only nowhere b", "only h e", "only  a b", "piece 77 nan x", "piece -1 inf y"})
    v.addLine(line);
  auto t = make(v);
  EXPECT_THAT(t->warnings(), ElementsAre(HasSubstr("merges")));
  EXPECT_THAT(texts(*t, *t->encode("hello", false, true)), ElementsAre("hello"));
  for (int32_t id = -2; id < t->vocabularySize() + 2; ++id) {
    t->decodeToken(id, true);
    t->decodeToken(id, false);
  }
}

TEST(HostileVocabulary, MissingBytesAreAnErrorOrUnknown) {
  VocabFile v;
  v.data.model = "gpt2";
  v.data.pre = "gpt-2";
  v.add("a");
  EXPECT_THAT(make(v)->encode("ab", false, false).error().message, HasSubstr("no token for byte 98"));
  v.data.unk = 0;
  EXPECT_EQ(make(v)->encode("ab", false, false)->size(), 2u);
}

TEST(HostileVocabulary, VeryLongTexts) {
  VocabFile v;
  fillBpe(v, "deepseek-v3");
  auto t = make(v);
  for (const char *unit : {" ", "a", "\n", "漢", "1", "'", "\u0301", " \n", "aA"}) {
    std::string text;
    while (text.size() < 400000)
      text += unit;
    auto ids = t->encode(text, false, true);
    ASSERT_TRUE(ids) << ids.error().message;
    EXPECT_EQ(t->decode(*ids, true), text);
  }
}

// "llama": control 0-2, byte tokens, then pieces.
void fillSpm(VocabFile &v) {
  v.data.model = "llama";
  v.add("<unk>", TokenType::Unknown);
  v.add("<s>", TokenType::Control);
  v.add("</s>", TokenType::Control);
  for (int b = 0; b < 256; ++b) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", b);
    v.add(text, TokenType::Byte);
  }
  float score = 0;
  for (const char *text : {"\u2581a", "ab", "\u2581ab", "\u2581", "a", "b"})
    v.add(text, TokenType::Normal, --score);
  v.data.unk = 0;
  v.data.bos = 1;
  v.data.eos = 2;
}

TEST(SpmTokenizer, ScoresPrefixAndBytes) {
  VocabFile v;
  fillSpm(v);
  auto t = make(v);
  // "▁a" has the best score, and then joins "b".
  EXPECT_THAT(texts(*t, *t->encode("ab b", false, false)), ElementsAre(" ab", " ", "b"));
  Ids ids = *t->encode("a\u00e9", false, false);
  EXPECT_THAT(texts(*t, ids), ElementsAre(" a", "\xC3", "\xA9"));
  EXPECT_EQ(t->decode(ids, false), "a\u00e9"); // without the prefix that encode() put there
  v.data.addSpacePrefix = false;
  EXPECT_THAT(texts(*make(v), *make(v)->encode("ab", false, false)), ElementsAre("ab"));
}

TEST(SpmTokenizer, HostileByteTokens) {
  VocabFile v;
  v.data.model = "llama";
  for (const char *text : {"<0x-1>", "<0x100>", "<0x>", "<0xG0>", "<0x0", "", "<0x41>"})
    v.add(text, TokenType::Byte);
  auto t = make(v);
  EXPECT_EQ(parseByteToken("<0x-1>"), -1);
  EXPECT_EQ(parseByteToken("<0xfF>"), 255);
  EXPECT_THAT(t->encode("Z", false, false).error().message, HasSubstr("no token for"));
  v.data.addSpacePrefix = false;
  EXPECT_EQ(*make(v)->encode("A", false, false), Ids{6});
  v.data.scores.clear();
  EXPECT_THAT(createError(v), HasSubstr("needs tokenizer.ggml.scores"));
  v.data.scores.assign(7, NAN);
  EXPECT_THAT(createError(v), HasSubstr("scores[0] is not a number"));
}

} // namespace
} // namespace ktrt::test
