// The C API on the toy plan: text, generation, cache re-use, limits, stopping, perplexity, benchmark.
//
// The toy's logits are (bias + sum of all tokens) * v, so that the best token is always the last of the
// vocabulary.
#include "runtime/api/ktrt.hpp"
#include "test/runtime/plan/toy_plan.h"

#include <gtest/gtest.h>

#include <cmath>

namespace {

class ModelTest : public testing::Test {
protected:
  // A byte-level vocabulary whose tokens 0..8 are the letters a..i; the last one is `last`.
  void addVocabulary(const std::string &last = "j", bool lastEnds = false) {
    auto table = std::make_unique<ktrt::plan::TokenizerT>();
    table->model = "gpt2";
    table->pre = "gpt-2";
    for (char c = 'a'; c < 'j'; ++c)
      table->tokens.push_back(std::string(1, c));
    table->tokens.push_back(last);
    table->types.assign(toy::kVocab, 1);
    if (lastEnds) {
      table->types.back() = 3;
      table->eos = toy::kVocab - 1;
    }
    plan.plan.tokenizer = std::move(table);
  }

  void open(KtrtOpenOptions options = KTRT_INIT(KtrtOpenOptions)) {
    ASSERT_EQ(model.open(plan.write(directory.path), options), KTRT_OK) << ktrtLastError();
  }

  // Generates with callbacks into `text` and returns the status.
  KtrtStatus generate(const std::vector<int32_t> &prompt) { return generate(prompt, greedy()); }
  KtrtStatus generate(const std::vector<int32_t> &prompt, KtrtGenerateOptions options) {
    text.clear();
    if (model.info().hasTokenizer)
      options.onText = collect;
    options.user = this;
    result = KTRT_INIT(KtrtGenerateResult);
    return model.generate(prompt, options, result);
  }

  static KtrtGenerateOptions greedy(uint32_t maxTokens = 4) {
    static const KtrtSampling sampling = [] {
      KtrtSampling s = KTRT_INIT(KtrtSampling);
      s.repeatPenalty = 1;
      s.topP = 1;
      return s;
    }();
    KtrtGenerateOptions options = KTRT_INIT(KtrtGenerateOptions);
    options.sampling = &sampling;
    options.maxTokens = maxTokens;
    return options;
  }

  static int collect(void *user, const char *text, size_t bytes) {
    auto &self = *static_cast<ModelTest *>(user);
    self.text.append(text, bytes);
    self.pieces.emplace_back(text, bytes);
    return self.text.size() >= self.enough;
  }

  toy::TemporaryDirectory directory;
  toy::Plan plan;
  ktrt::Model model;
  KtrtGenerateResult result{};
  std::string text;
  std::vector<std::string> pieces;
  size_t enough = SIZE_MAX;
};

TEST_F(ModelTest, DescribesItself) {
  addVocabulary();
  open();
  KtrtInfo info = model.info();
  EXPECT_EQ(info.vocabulary, toy::kVocab);
  EXPECT_EQ(info.context, toy::kContext);
  EXPECT_STREQ(info.isa, "avx2");
  EXPECT_EQ(info.hasTokenizer, 1u);
  EXPECT_EQ(info.addsBos, 0u);
  EXPECT_GT(info.threads, 0u);
  EXPECT_GT(info.loadSeconds, 0);
}

TEST_F(ModelTest, TokenizesAndBack) {
  addVocabulary();
  open();
  std::vector<int32_t> tokens;
  ASSERT_EQ(model.tokenize("badge", 0, tokens), KTRT_OK) << ktrtLastError();
  EXPECT_EQ(tokens, (std::vector<int32_t>{1, 0, 3, 6, 4}));
  std::string back;
  ASSERT_EQ(model.detokenize(tokens, 0, back), KTRT_OK);
  EXPECT_EQ(back, "badge");
  EXPECT_EQ(model.detokenize({10}, 0, back), KTRT_ERROR);
  EXPECT_EQ(model.detokenize({-1}, 0, back), KTRT_ERROR);
}

TEST_F(ModelTest, SmallBuffersReportWhatIsNeeded) {
  addVocabulary();
  open();
  size_t count = 0;
  int32_t tokens[5];
  EXPECT_EQ(ktrtTokenize(model.get(), "badge", 5, 0, nullptr, 0, &count), KTRT_BUFFER_TOO_SMALL);
  EXPECT_EQ(count, 5u);
  EXPECT_EQ(ktrtTokenize(model.get(), "badge", 5, 0, tokens, 4, &count), KTRT_BUFFER_TOO_SMALL);
  EXPECT_EQ(ktrtTokenize(model.get(), "badge", 5, 0, tokens, 5, &count), KTRT_OK);
  EXPECT_EQ(ktrtTokenize(model.get(), "", 0, 0, nullptr, 0, &count), KTRT_OK);
  EXPECT_EQ(count, 0u);
}

TEST_F(ModelTest, WithoutVocabularyOnlyTextIsRefused) {
  plan.plan.tokenizer = std::make_unique<ktrt::plan::TokenizerT>();
  plan.plan.tokenizer->model = "no_vocab";
  open();
  std::vector<int32_t> tokens;
  EXPECT_EQ(model.tokenize("x", 0, tokens), KTRT_NO_VOCABULARY);
  EXPECT_STREQ(ktrtLastError(), "this model has no vocabulary, so it cannot read or write text");
  EXPECT_EQ(model.tokenizeChat({{"user", "x"}}, true, tokens), KTRT_NO_VOCABULARY);
  EXPECT_EQ(generate({1, 2}), KTRT_OK) << ktrtLastError();
  EXPECT_EQ(result.generatedTokens, 4u);
  KtrtGenerateOptions options = greedy();
  const char *stop = "x";
  options.stops = &stop;
  options.stopCount = 1;
  EXPECT_EQ(generate({1, 2}, options), KTRT_NO_VOCABULARY);
}

TEST_F(ModelTest, WithoutTemplateThereIsNoChat) {
  addVocabulary();
  plan.plan.chat_template.clear();
  open();
  std::vector<int32_t> tokens;
  EXPECT_EQ(model.tokenizeChat({{"user", "a"}}, true, tokens), KTRT_NO_VOCABULARY);
  EXPECT_NE(std::string(ktrtLastError()).find("chat template"), std::string::npos);
}

TEST_F(ModelTest, ChatTemplate) {
  addVocabulary();
  plan.plan.chat_template =
      "{% for m in messages %}{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}g{% endif %}";
  open();
  std::string text;
  ASSERT_EQ(model.applyChatTemplate({{"user", "ab"}, {"assistant", "c"}}, true, text), KTRT_OK)
      << ktrtLastError();
  EXPECT_EQ(text, "abcg");
  std::vector<int32_t> tokens;
  ASSERT_EQ(model.tokenizeChat({{"user", "ab"}}, false, tokens), KTRT_OK) << ktrtLastError();
  EXPECT_EQ(tokens, (std::vector<int32_t>{0, 1}));
}

TEST_F(ModelTest, EvaluatesLogits) {
  open();
  std::vector<int32_t> tokens = {1, 2, 3, 4};
  float row[toy::kVocab];
  ASSERT_EQ(ktrtEvaluate(model.get(), tokens.data(), 3, 0, row), KTRT_OK);
  EXPECT_EQ(row[4], toy::expectedLogit(tokens, 2, 4));
  ASSERT_EQ(ktrtEvaluate(model.get(), tokens.data() + 3, 1, 3, row), KTRT_OK);
  EXPECT_EQ(row[7], toy::expectedLogit(tokens, 3, 7));
  EXPECT_EQ(ktrtEvaluate(model.get(), tokens.data(), 1, 5, row), KTRT_INVALID_ARGUMENT) << "a gap in the cache";
  EXPECT_EQ(ktrtEvaluate(model.get(), tokens.data(), 0, 0, row), KTRT_INVALID_ARGUMENT);
  tokens[0] = toy::kVocab;
  EXPECT_EQ(ktrtEvaluate(model.get(), tokens.data(), 1, 0, row), KTRT_ERROR);
  tokens.assign(toy::kContext + 1, 0);
  EXPECT_EQ(ktrtEvaluate(model.get(), tokens.data(), tokens.size(), 0, row), KTRT_CONTEXT_FULL);
}

TEST_F(ModelTest, EvaluateAllHandsOutRowsInOrderAndCanBeCancelled) {
  open();
  std::vector<int32_t> tokens(20, 1);
  struct Seen {
    size_t rows = 0, limit = SIZE_MAX;
  } seen;
  auto onLogits = [](void *user, size_t row, size_t rows, const float *) {
    auto &seen = *static_cast<Seen *>(user);
    EXPECT_EQ(row, seen.rows);
    seen.rows += rows;
    return int(seen.rows >= seen.limit);
  };
  EXPECT_EQ(ktrtEvaluateAll(model.get(), tokens.data(), tokens.size(), 0, onLogits, &seen), KTRT_OK);
  EXPECT_EQ(seen.rows, 20u);
  seen = {0, 1};
  EXPECT_EQ(ktrtEvaluateAll(model.get(), tokens.data(), tokens.size(), 0, onLogits, &seen), KTRT_CANCELLED);
  EXPECT_LT(seen.rows, 20u);
  // What was evaluated before the cancellation is still good.
  EXPECT_EQ(ktrtEvaluate(model.get(), tokens.data(), 1, 1, nullptr), KTRT_OK) << ktrtLastError();
}

TEST_F(ModelTest, GeneratesUntilTheLimit) {
  addVocabulary();
  open();
  ASSERT_EQ(generate({0, 1}), KTRT_OK) << ktrtLastError();
  EXPECT_EQ(text, "jjjj");
  EXPECT_EQ(result.finish, KTRT_FINISH_LENGTH);
  EXPECT_EQ(result.promptTokens, 2u);
  EXPECT_EQ(result.generatedTokens, 4u);
  EXPECT_EQ(result.decodeSteps, 3u);
}

TEST_F(ModelTest, ReusesTheCommonPrefix) {
  addVocabulary();
  open();
  ASSERT_EQ(generate({0, 1, 2}), KTRT_OK);
  ASSERT_EQ(generate({0, 1, 2, 9, 9, 5}), KTRT_OK); // two of the generated tokens are in the cache as well
  EXPECT_EQ(result.reusedTokens, 5u);
  EXPECT_EQ(result.promptTokens, 1u);
  ASSERT_EQ(generate({0, 4}), KTRT_OK);
  EXPECT_EQ(result.reusedTokens, 1u);
  ASSERT_EQ(generate({0, 4}), KTRT_OK);
  EXPECT_EQ(result.reusedTokens, 1u) << "the last token is evaluated for its logits";
}

TEST_F(ModelTest, EndsAtTheEndToken) {
  addVocabulary("<end>", true);
  open();
  ASSERT_EQ(generate({0}), KTRT_OK);
  EXPECT_EQ(result.finish, KTRT_FINISH_END);
  EXPECT_EQ(result.generatedTokens, 0u);
  EXPECT_EQ(text, "");
  KtrtGenerateOptions options = greedy();
  options.ignoreEnd = 1;
  ASSERT_EQ(generate({0}, options), KTRT_OK);
  EXPECT_EQ(result.finish, KTRT_FINISH_LENGTH);
  EXPECT_EQ(text, "iiii");
}

TEST_F(ModelTest, EndsBeforeAStopString) {
  addVocabulary();
  open();
  const char *stops[] = {"never", "jjj"};
  KtrtGenerateOptions options = greedy(10);
  options.stops = stops;
  options.stopCount = 2;
  ASSERT_EQ(generate({0}, options), KTRT_OK);
  EXPECT_EQ(result.finish, KTRT_FINISH_STRING);
  EXPECT_EQ(text, "");
  EXPECT_EQ(result.generatedTokens, 3u);
  // A beginning of a stop string that does not become one is shown at the end.
  ASSERT_EQ(generate({0},
                     [&] {
                       options.maxTokens = 2;
                       return options;
                     }()),
            KTRT_OK);
  EXPECT_EQ(text, "jj");
}

TEST_F(ModelTest, PiecesAreWholeCharacters) {
  addVocabulary("\xC3\x83"); // the byte C3, which begins a character of two bytes
  open();
  ASSERT_EQ(generate({0}), KTRT_OK);
  EXPECT_EQ(text, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  for (const std::string &piece : pieces)
    EXPECT_EQ(piece.size() % 3, 0u);
}

TEST_F(ModelTest, StopsAtTheEndOfTheContext) {
  addVocabulary();
  open();
  ASSERT_EQ(generate(std::vector<int32_t>(60, 1), greedy(0)), KTRT_OK);
  EXPECT_EQ(result.finish, KTRT_FINISH_CONTEXT);
  EXPECT_EQ(result.generatedTokens, 5u) << "four that fit, and one that follows the last";
  EXPECT_EQ(generate(std::vector<int32_t>(65, 1)), KTRT_CONTEXT_FULL);
  EXPECT_EQ(generate({}), KTRT_INVALID_ARGUMENT);
}

TEST_F(ModelTest, CallbackAndStopFlagEndIt) {
  addVocabulary();
  open();
  enough = 2;
  ASSERT_EQ(generate({0}, greedy(10)), KTRT_OK);
  EXPECT_EQ(result.finish, KTRT_FINISH_STOPPED);
  EXPECT_EQ(text, "jj");
  enough = SIZE_MAX;
  ktrtSetStop(model.get(), 1);
  ASSERT_EQ(generate({0}, greedy(10)), KTRT_OK);
  EXPECT_EQ(result.finish, KTRT_FINISH_STOPPED);
  EXPECT_EQ(text, "");
  int32_t token = 1;
  EXPECT_EQ(ktrtEvaluate(model.get(), &token, 1, 0, nullptr), KTRT_CANCELLED);
  ktrtSetStop(model.get(), 0);
  ASSERT_EQ(generate({0}, greedy(10)), KTRT_OK);
  EXPECT_EQ(text, "jjjjjjjjjj");
}

TEST_F(ModelTest, RefusesSamplingOutOfRange) {
  open();
  KtrtSampling sampling = model.defaultSampling();
  KtrtGenerateOptions options = greedy();
  options.sampling = &sampling;
  EXPECT_EQ(generate({1}, options), KTRT_OK) << ktrtLastError();
  for (float KtrtSampling::*field :
       {&KtrtSampling::temperature, &KtrtSampling::topP, &KtrtSampling::minP, &KtrtSampling::repeatPenalty})
    for (float bad : {-1.0f, std::nanf("")}) {
      sampling = model.defaultSampling();
      sampling.*field = bad;
      EXPECT_EQ(generate({1}, options), KTRT_INVALID_ARGUMENT);
    }
}

TEST_F(ModelTest, PerplexityByHand) {
  open();
  // Zeros: the sum is the bias everywhere, and each prediction is token 0 with logits bias * v.
  std::vector<int32_t> tokens(19, 0);
  double sum = 0;
  for (uint32_t v = 0; v < toy::kVocab; ++v)
    sum += std::exp(double(toy::kBias) * v);
  KtrtPerplexityOptions options = KTRT_INIT(KtrtPerplexityOptions);
  options.window = 8;
  KtrtPerplexityResult result = KTRT_INIT(KtrtPerplexityResult);
  ASSERT_EQ(ktrtPerplexity(model.get(), tokens.data(), tokens.size(), &options, &result), KTRT_OK)
      << ktrtLastError();
  EXPECT_NEAR(result.perplexity / sum, 1, 1e-9);
  EXPECT_EQ(result.chunks, 2u);
  EXPECT_EQ(result.tokens, 6u) << "positions 4, 5, 6 of each window";
  options.maxChunks = 1;
  ASSERT_EQ(ktrtPerplexity(model.get(), tokens.data(), tokens.size(), &options, &result), KTRT_OK);
  EXPECT_EQ(result.tokens, 3u);
}

TEST_F(ModelTest, PerplexityScoresTheRightPositions) {
  open();
  std::vector<int32_t> tokens = {1, 0, 2, 1, 3, 0, 1, 2};
  double sum = 0;
  for (size_t p = 4; p <= 6; ++p) {
    double total = 0;
    for (uint32_t v = 0; v < toy::kVocab; ++v)
      total += std::exp(double(toy::expectedLogit(tokens, p, v)));
    sum += std::log(total) - toy::expectedLogit(tokens, p, uint32_t(tokens[p + 1]));
  }
  KtrtPerplexityOptions options = KTRT_INIT(KtrtPerplexityOptions);
  options.window = 8;
  KtrtPerplexityResult result = KTRT_INIT(KtrtPerplexityResult);
  ASSERT_EQ(ktrtPerplexity(model.get(), tokens.data(), tokens.size(), &options, &result), KTRT_OK);
  EXPECT_NEAR(std::log(result.perplexity), sum / 3, 1e-9);
}

TEST_F(ModelTest, PerplexityLimits) {
  open();
  std::vector<int32_t> tokens(100, 0);
  KtrtPerplexityOptions options = KTRT_INIT(KtrtPerplexityOptions);
  KtrtPerplexityResult result = KTRT_INIT(KtrtPerplexityResult);
  auto run = [&](uint32_t window) {
    options.window = window;
    return ktrtPerplexity(model.get(), tokens.data(), tokens.size(), &options, &result);
  };
  EXPECT_EQ(run(3), KTRT_INVALID_ARGUMENT);
  EXPECT_EQ(run(65), KTRT_CONTEXT_FULL);
  EXPECT_EQ(run(64), KTRT_OK);
  tokens.resize(63);
  EXPECT_EQ(run(64), KTRT_ERROR);
  tokens.resize(100);
  options.onChunk = [](void *, uint32_t, uint32_t, double) { return 1; };
  EXPECT_EQ(run(8), KTRT_CANCELLED);
}

TEST_F(ModelTest, Benchmark) {
  open();
  KtrtBenchOptions options = KTRT_INIT(KtrtBenchOptions);
  options.promptTokens = 10;
  options.decodeTokens = 6;
  options.depth = 20;
  options.repetitions = 2;
  size_t last[2] = {};
  options.onProgress = [](void *user, size_t done, size_t total) {
    static_cast<size_t *>(user)[0] = done;
    static_cast<size_t *>(user)[1] = total;
  };
  options.user = last;
  KtrtBenchResult result = KTRT_INIT(KtrtBenchResult);
  ASSERT_EQ(ktrtSetProfiling(model.get(), 1), KTRT_OK);
  ASSERT_EQ(ktrtBench(model.get(), &options, &result), KTRT_OK) << ktrtLastError();
  EXPECT_GT(result.prefill.min, 0);
  EXPECT_LE(result.decode.min, result.decode.median);
  EXPECT_LE(result.decode.median, result.decode.max);
  EXPECT_EQ(result.bytesPerToken, 1000 + 4 * 24)
      << "weights, and the cache up to position 23, the middle of 20 .. 26";
  EXPECT_DOUBLE_EQ(result.boundTokensPerSecond, result.readBandwidth / result.bytesPerToken);
  EXPECT_GT(result.leastReadBandwidth, 0);
  EXPECT_LE(result.leastReadBandwidth, result.readBandwidth);
  EXPECT_LE(result.readBandwidth, result.mostReadBandwidth);
  EXPECT_EQ(result.shareOfBound, result.shares.median);
  EXPECT_GE(result.shares.min, result.decode.min * result.bytesPerToken / result.mostReadBandwidth);
  EXPECT_LE(result.shares.max, result.decode.max * result.bytesPerToken / result.leastReadBandwidth);
  ASSERT_EQ(result.deviceCount, 1u);
  EXPECT_STREQ(result.devices[0].name, "cpu");
  EXPECT_EQ(result.devices[0].bytesPerToken, result.bytesPerToken);
  EXPECT_EQ(last[0], 5u);
  EXPECT_EQ(last[1], 5u);
  size_t rows = 0;
  auto count = [](void *user, const KtrtProfileRow *row) {
    ++*static_cast<size_t *>(user);
    EXPECT_GT(row->busySeconds, 0) << row->family;
  };
  ktrtProfile(model.get(), count, &rows);
  EXPECT_GT(rows, 3u);

  options.depth = 60;
  EXPECT_EQ(ktrtBench(model.get(), &options, &result), KTRT_CONTEXT_FULL);
  options.promptTokens = options.decodeTokens = 0;
  EXPECT_EQ(ktrtBench(model.get(), &options, &result), KTRT_INVALID_ARGUMENT);
}

} // namespace
