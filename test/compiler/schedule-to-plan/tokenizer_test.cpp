// Text tables of a plan from GGUF metadata: defaults per family, what the file says, and what is refused.
#include "compiler/schedule-to-plan/tokenizer.h"

#include "compiler/gguf-to-model/reader.h"
#include "test/compiler/gguf-to-model/support/gguf_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ktc::test {

using testing::HasSubstr;

class TokenizerTest : public testing::Test {
protected:
  TokenizerTest() { builder.string("general.architecture", "llama").u32("llama.block_count", 1); }

  GgufBuilder &vocabulary(const std::string &model, const std::string &pre) {
    builder.string("tokenizer.ggml.model", model);
    if (!pre.empty())
      builder.string("tokenizer.ggml.pre", pre);
    builder.strings("tokenizer.ggml.tokens", {"a", "b", "</s>"});
    return builder.array<float>("tokenizer.ggml.scores", F32, {0.f, -1.f, -2.f});
  }

  const GgufMetadata &metadata() {
    bytes = builder.build();
    kt::Result<GgufModel> parsed = GgufModel::parse("test.gguf", bytes);
    EXPECT_TRUE(parsed) << parsed.error().message;
    model = std::move(*parsed);
    return model.metadata();
  }

  std::unique_ptr<ktrt::plan::TokenizerT> build() {
    auto result = buildTokenizer(metadata(), 4);
    if (!result) {
      ADD_FAILURE() << result.error().message;
      return std::make_unique<ktrt::plan::TokenizerT>();
    }
    return std::move(*result);
  }

  std::string error() {
    auto result = buildTokenizer(metadata(), 2);
    return result ? "" : result.error().message;
  }

  GgufBuilder builder;
  Bytes bytes;
  GgufModel model;
};

TEST_F(TokenizerTest, ModelsWithoutVocabulary) {
  EXPECT_EQ(build()->model, "no_vocab");
  builder.string("tokenizer.ggml.model", "no_vocab");
  EXPECT_EQ(build()->model, "no_vocab");
}

TEST_F(TokenizerTest, LlamaBpeBeginsWithBos) {
  vocabulary("gpt2", "llama-bpe");
  auto tokenizer = build();
  EXPECT_TRUE(tokenizer->add_bos);
  EXPECT_FALSE(tokenizer->add_space_prefix);
  EXPECT_EQ(tokenizer->tokens.size(), 3u);
  EXPECT_TRUE(tokenizer->scores.empty());
}

TEST_F(TokenizerTest, TheFileOverridesTheDefault) {
  vocabulary("gpt2", "llama-bpe").boolean("tokenizer.ggml.add_bos_token", false);
  EXPECT_FALSE(build()->add_bos);
}

TEST_F(TokenizerTest, DeepSeekDoesAsTheFileSays) {
  vocabulary("gpt2", "deepseek-v3");
  EXPECT_FALSE(build()->add_bos);
  builder.boolean("tokenizer.ggml.add_bos_token", true);
  EXPECT_TRUE(build()->add_bos);
}

TEST_F(TokenizerTest, SentencePieceBeginsWithBosAndSpace) {
  vocabulary("llama", "");
  auto tokenizer = build();
  EXPECT_TRUE(tokenizer->add_bos);
  EXPECT_TRUE(tokenizer->add_space_prefix);
  EXPECT_EQ(tokenizer->scores, (std::vector<float>{0.f, -1.f, -2.f}));
}

TEST_F(TokenizerTest, IgnoresIdsOutsideTheVocabulary) {
  vocabulary("gpt2", "qwen2").u32("tokenizer.ggml.bos_token_id", 3).u32("tokenizer.ggml.eos_token_id", 2);
  builder.u32("tokenizer.ggml.padding_token_id", UINT32_MAX);
  auto tokenizer = build();
  EXPECT_EQ(tokenizer->bos, -1);
  EXPECT_EQ(tokenizer->eos, 2);
  EXPECT_EQ(tokenizer->pad, -1);
}

TEST_F(TokenizerTest, RefusesWhatTheRuntimeDoesNotKnow) {
  vocabulary("bert", "");
  EXPECT_EQ(error(), "metadata key 'tokenizer.ggml.model': expected gpt2, llama or no_vocab, found 'bert'");
}

TEST_F(TokenizerTest, RefusesMoreTokensThanLogits) {
  vocabulary("gpt2", "qwen2");
  EXPECT_THAT(error(), HasSubstr("expected 1 to 2 tokens, the columns of the logits, found 3"));
}

TEST_F(TokenizerTest, SamplingDefaults) {
  builder.u32("general.sampling.top_k", 20).f32("general.sampling.top_p", 0.8f);
  auto sampling = buildSampling(metadata());
  ASSERT_TRUE(sampling) << sampling.error().message;
  EXPECT_EQ((*sampling)->top_k, 20u);
  EXPECT_EQ((*sampling)->top_p, 0.8f);
  EXPECT_EQ((*sampling)->temperature, 0.8f);
  builder.f32("general.sampling.min_p", 2);
  auto refused = buildSampling(metadata());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("metadata key 'general.sampling.min_p': expected 0"));
}

} // namespace ktc::test
