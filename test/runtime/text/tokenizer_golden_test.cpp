// Equality with the original libraries: 2050 mixed lines per pre-tokenizer against Hugging Face `tokenizers`,
// and for the SentencePiece model against `sentencepiece`. See python-tools/make_tokenizer_goldens.py.
#include "test/runtime/text/vocab_file.h"

#include <gtest/gtest.h>

namespace ktrt::test {
namespace {

// The same number-and-hash that the generator writes for a line.
std::string fingerprint(const std::vector<int32_t> &ids) {
  uint32_t h = 0x811C9DC5;
  for (int32_t id : ids)
    for (int shift : {0, 8, 16, 24})
      h = (h ^ (uint32_t(id) >> shift & 255)) * 0x01000193;
  char buffer[40];
  std::snprintf(buffer, sizeof buffer, "%zu %06x", ids.size(), h & 0xFFFFFF);
  return buffer;
}

class TokenizerGolden : public testing::TestWithParam<const char *> {};

TEST_P(TokenizerGolden, EqualsOriginal) {
  const std::string folder = KT_TEXT_DATA "/tokenizer/", name = GetParam();
  VocabFile vocab;
  ASSERT_TRUE(vocab.load(folder + name + ".vocab"));
  auto tokenizer = Tokenizer::create(vocab.data);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_TRUE((*tokenizer)->warnings().empty());
  std::vector<std::string> lines = readLines(folder + "lines.txt"), want = readLines(folder + name + ".ids");
  ASSERT_GE(lines.size(), 2000u);
  ASSERT_EQ(lines.size(), want.size());
  size_t wrong = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    std::string text = unescape(lines[i]);
    auto ids = (*tokenizer)->encode(text, false, true);
    ASSERT_TRUE(ids) << ids.error().message;
    if (fingerprint(*ids) != want[i] && ++wrong <= 10) {
      std::string shown;
      for (int32_t id : *ids)
        shown += "[" + (*tokenizer)->decodeToken(id, true) + "]";
      ADD_FAILURE() << name << " line " << i + 1 << ": expected " << want[i] << ", got " << fingerprint(*ids)
                    << ": " << shown;
    }
    EXPECT_EQ((*tokenizer)->decode(*ids, true), text) << name << " line " << i + 1;
  }
  EXPECT_EQ(wrong, 0u);
}

INSTANTIATE_TEST_SUITE_P(Families, TokenizerGolden,
                         testing::Values("deepseek-v3", "deepseek-llm", "deepseek-coder", "qwen2", "llama-bpe",
                                         "gpt-4o", "gpt-2", "default", "spm"));

} // namespace
} // namespace ktrt::test
