// Sessions on the toy plan: evaluation, cuts, limits, cancellation, profiling, ISA choice.
#include "runtime/executor/session.h"

#include "runtime/cpu/cpuid.h"
#include "test/runtime/executor/toy_session.h"

#include <gtest/gtest.h>

#include <algorithm>

using namespace ktrt;
using toy::someTokens;

namespace {

std::unique_ptr<Session> openToy(toy::Plan &plan, const toy::TemporaryDirectory &directory,
                                 SessionOptions options = {}) {
  auto session = Session::open(plan.write(directory.path), options);
  EXPECT_TRUE(session) << session.error().message;
  return session ? std::move(*session) : nullptr;
}

class SessionThreads : public testing::TestWithParam<uint32_t> {
protected:
  toy::TemporaryDirectory directory;
  toy::Plan plan;
};

TEST_P(SessionThreads, LastLogitsDoNotDependOnTheCut) {
  SessionOptions options;
  options.threads = GetParam();
  auto session = openToy(plan, directory, options);
  ASSERT_EQ(session->threads(), GetParam());
  toy::expectRightLogits(*session, 30, {1, 2, 3, 7, 8, 9, 17, 30});
}

// Dispatches that read much have open shares (open_units.h): the results are the same.
TEST_P(SessionThreads, OpenSharesGiveTheSameLogits) {
  for (toy::Entry entry : {toy::Decode1, toy::Decode2})
    for (plan::CommandT *command : toy::commandsOf(*plan.plan.entries[entry]))
      if (plan::DispatchT *dispatch = command->body.AsDispatch())
        dispatch->bytes_read = 4 << 20;
  SessionOptions options;
  options.threads = GetParam();
  auto session = openToy(plan, directory, options);
  toy::expectRightLogits(*session, 30, {1, 2});
}

// Rewrites a prefill entry for two parts of its tokens: every command is there once for each.
void cutPrefill(plan::PlanT &plan) {
  plan::EntryT &entry = *plan.entries[toy::Prefill];
  entry.parts = 2;
  const uint64_t shift = 4 * toy::kPrefill / entry.parts; // every row is of 4 bytes
  auto move = [&](plan::Operand &operand) {
    if (operand.kind() == plan::OperandKind::Arena && operand.index() != toy::Cache)
      operand = toy::arena(toy::Arena(operand.index()), operand.offset() + shift);
  };
  std::vector<std::unique_ptr<plan::CommandT>> both;
  for (auto &first : entry.programs[0]->commands) {
    auto second = std::make_unique<plan::CommandT>(*first);
    second->part = 1;
    if (plan::DispatchT *dispatch = second->body.AsDispatch()) {
      std::for_each(dispatch->operands.begin(), dispatch->operands.end(), move);
    } else if (plan::CopyT *copy = second->body.AsCopy()) {
      move(*copy->source);
      move(*copy->destination);
    }
    both.push_back(std::move(first));
    both.push_back(std::move(second));
  }
  entry.programs[0]->commands = std::move(both);
}

// The second part has what does not fit into the first: nothing, one token, or as many.
TEST_P(SessionThreads, PartsGiveTheSameLogits) {
  cutPrefill(plan.plan);
  SessionOptions options;
  options.threads = GetParam();
  auto session = openToy(plan, directory, options);
  ASSERT_NE(session, nullptr);
  toy::expectRightLogits(*session, 30, {3, 4, 5, 7, 8, 30});
}

TEST_P(SessionThreads, AllLogits) {
  SessionOptions options;
  options.threads = GetParam();
  auto session = openToy(plan, directory, options);
  for (size_t count : {1, 2, 3, 8, 10, 29}) {
    std::vector<int32_t> tokens = someTokens(count);
    uint32_t rowsSeen = 0;
    auto status = session->evaluateAll(tokens, 0, [&](uint32_t row0, uint32_t rows, const float *logits) {
      EXPECT_EQ(row0, rowsSeen);
      rowsSeen += rows;
      for (uint32_t r = 0; r < rows; ++r)
        for (uint32_t v = 0; v < toy::kVocab; ++v)
          EXPECT_EQ(logits[r * toy::kVocab + v], toy::expectedLogit(tokens, row0 + r, v));
      return true;
    });
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_EQ(rowsSeen, count);
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, SessionThreads, testing::Values(1, 2, 3, 4, 11));

class SessionTest : public testing::Test {
protected:
  toy::TemporaryDirectory directory;
  toy::Plan plan;
};

TEST_F(SessionTest, DescribesThePlan) {
  auto session = openToy(plan, directory);
  EXPECT_EQ(session->vocab(), toy::kVocab);
  EXPECT_EQ(session->contextLimit(), toy::kContext);
  EXPECT_EQ(session->isa(), "avx2");
  EXPECT_EQ(session->decodeSizes(), (std::vector<uint32_t>{1, 2}));
  EXPECT_EQ(session->prefillCapacity(), toy::kPrefill);
  EXPECT_EQ(session->findEntry("head"), int(toy::Head));
  EXPECT_EQ(session->findEntry("decode_3"), -1);
  EXPECT_EQ(session->bytesPerToken(9), 1000u + 40u);
  EXPECT_EQ(session->positionsOf(toy::Head), nullptr);
  EXPECT_EQ(session->logitsOf(toy::Prefill), nullptr);
}

TEST_F(SessionTest, StopsEarlyWhenTheCallbackWants) {
  auto session = openToy(plan, directory);
  int calls = 0;
  auto status =
      session->evaluateAll(someTokens(20), 0, [&](uint32_t, uint32_t, const float *) { return ++calls < 2; });
  EXPECT_TRUE(status);
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(session->kvLength(), toy::kPrefill);
}

TEST_F(SessionTest, RewindsAndContinues) {
  auto session = openToy(plan, directory);
  std::vector<int32_t> tokens = someTokens(12), other = {9, 9};
  ASSERT_TRUE(session->evaluate(tokens, 0));
  auto logits = session->evaluate(other, 4);
  ASSERT_TRUE(logits);
  tokens.resize(4);
  tokens.insert(tokens.end(), other.begin(), other.end());
  EXPECT_EQ((*logits)[1], toy::expectedLogit(tokens, 5, 1));
  EXPECT_EQ(session->kvLength(), 6u);
  session->kvTruncate(100);
  EXPECT_EQ(session->kvLength(), 6u);
  session->kvTruncate(2);
  auto gap = session->evaluate(other, 3);
  ASSERT_FALSE(gap);
  EXPECT_EQ(gap.error().message, "cannot continue after 3 positions: the cache holds 2");
}

TEST_F(SessionTest, RefusesWhatDoesNotFit) {
  SessionOptions options;
  options.contextLimit = 10;
  auto session = openToy(plan, directory, options);
  auto full = session->evaluate(someTokens(11), 0);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().message, "the context is full: 11 tokens after 0 exceed the limit of 10");
  ASSERT_TRUE(session->evaluate(someTokens(10), 0));
  std::vector<int32_t> one = {1}, wrong = {1, 10}, negative = {-1};
  EXPECT_FALSE(session->evaluate(one, 10));
  EXPECT_EQ(session->evaluate(wrong, 0).error().message, "token 10 (number 1) is not in the vocabulary of 10");
  EXPECT_FALSE(session->evaluate(negative, 0));
  EXPECT_FALSE(session->evaluate({}, 0));
  EXPECT_EQ(session->kvLength(), 10u) << "a refused request changes nothing";
}

TEST_F(SessionTest, RefusesSingleReplaysOutOfRange) {
  auto session = openToy(plan, directory);
  EXPECT_EQ(session->run(9, 1, 0).error().message, "entry 9 of 4 does not exist");
  EXPECT_EQ(session->run(toy::Decode2, 1, 0).error().message, "entry 'decode_2' takes 2 to 2 tokens, not 1");
  EXPECT_EQ(session->run(toy::Prefill, 9, 0).error().message, "entry 'prefill' takes 1 to 8 tokens, not 9");
  EXPECT_EQ(session->run(toy::Head, 2, 0, 7).error().message,
            "head: rows 7 + 2 are outside the 8 hidden states");
  EXPECT_FALSE(session->run(toy::Decode1, 1, toy::kContext));
  EXPECT_TRUE(session->run(toy::Head, 1, 0, 7));
}

TEST_F(SessionTest, ContextLimitBeyondThePlan) {
  SessionOptions options;
  options.contextLimit = toy::kContext + 1;
  auto session = Session::open(plan.write(directory.path), options);
  ASSERT_FALSE(session);
  EXPECT_NE(session.error().message.find("a context of 65 tokens was asked for, the plan was compiled for 64"),
            std::string::npos);
}

TEST_F(SessionTest, Cancels) {
  std::atomic<bool> cancel = false;
  SessionOptions options;
  options.cancel = &cancel;
  auto session = openToy(plan, directory, options);
  ASSERT_TRUE(session->evaluate(someTokens(3), 0));
  EXPECT_FALSE(session->cancelled());
  cancel = true;
  EXPECT_FALSE(session->evaluate(someTokens(3), 3));
  EXPECT_TRUE(session->cancelled());
  EXPECT_EQ(session->kvLength(), 3u);
  cancel = false;
  EXPECT_TRUE(session->evaluate(someTokens(3), 3));
  EXPECT_FALSE(session->cancelled());
}

TEST_F(SessionTest, Profiles) {
  auto session = openToy(plan, directory);
  std::vector<int32_t> one = {1};
  ASSERT_TRUE(session->evaluate(one, 0));
  EXPECT_TRUE(session->profile().empty());
  session->setProfiling(true);
  for (uint32_t i = 1; i <= 5; ++i)
    ASSERT_TRUE(session->evaluate(one, i));
  auto profile = session->profile();
  ASSERT_EQ(profile.size(), 5u) << "the five commands of decode_1";
  EXPECT_EQ(profile[1].kind, "dispatch");
  EXPECT_EQ(profile[1].family, "prefix");
  EXPECT_EQ(profile[1].kernel, "toy_prefix");
  EXPECT_EQ(profile[1].path, "model.layers.0");
  EXPECT_EQ(profile[1].bytesRead, 4u);
  EXPECT_EQ(profile[2].kind, "copy");
  EXPECT_EQ(profile[3].kind, "fill");
  for (const auto &command : profile)
    EXPECT_EQ(command.replays, 5u);
  EXPECT_GT(session->lastReplayNanos(), 0u);
  EXPECT_EQ(session->replayCount(), 6u);
  session->setProfiling(false);
  EXPECT_TRUE(session->profile().empty());
}

// A second variant whose logits are doubled: `addss xmm1, xmm1` is not worth writing, so it multiplies hidden
// by itself instead: `mulss xmm0, xmm1` becomes `mulss xmm0, xmm0`.
void addSquaringVariant(toy::Plan &plan, const char *isa) {
  auto &kernel = *plan.plan.kernels[toy::Logits];
  auto variant = std::make_unique<plan::KernelVariantT>(*kernel.variants[0]);
  std::vector<uint8_t> body(plan.code.begin() + ptrdiff_t(variant->offset), plan.code.end());
  const uint8_t from[] = {0xf3, 0x0f, 0x59, 0xc1};
  auto found = std::search(body.begin(), body.end(), std::begin(from), std::end(from));
  ASSERT_NE(found, body.end());
  found[3] = 0xc0;
  variant->isa = isa;
  variant->offset = plan.code.size();
  plan.code.insert(plan.code.end(), body.begin(), body.end());
  kernel.variants.push_back(std::move(variant));
}

TEST_F(SessionTest, PicksTheBestVariantAndObeysTheLimit) {
  if (!(supportedIsas() & isaBit(IsaLevel::Avx512)))
    GTEST_SKIP() << "needs AVX-512";
  addSquaringVariant(plan, "avx512");
  std::vector<int32_t> one = {1};
  auto best = openToy(plan, directory);
  EXPECT_EQ(best->isa(), "avx512");
  EXPECT_EQ((**best->evaluate(one, 0)), 36);
  SessionOptions options;
  options.isa = "avx2";
  auto limited = openToy(plan, directory, options);
  EXPECT_EQ(limited->isa(), "avx2");
  EXPECT_EQ((**limited->evaluate(one, 0)), 0);
}

TEST_F(SessionTest, NoCodeForThisCpu) {
  plan.plan.kernels[0]->variants[0]->isa = "amx";
  SessionOptions options;
  options.isa = "avx2";
  std::string path = plan.write(directory.path);
  auto session = Session::open(path, options);
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().message, path + ": kernels[0] ('toy_store') has no code for avx2 or less");

  for (auto &kernel : plan.plan.kernels)
    kernel->variants[0]->isa = "amx";
  session = Session::open(plan.write(directory.path), options);
  ASSERT_FALSE(session);
  EXPECT_NE(session.error().message.find("no code for this CPU: the plan has amx, the CPU supports avx2"),
            std::string::npos)
      << session.error().message;
  options.isa = "sse9";
  session = Session::open(path = plan.write(directory.path), options);
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().message,
            path + ": unknown ISA level 'sse9': expected avx2, avx2vnni, avx512 or amx");
}

TEST_F(SessionTest, LinkedWeights) {
  plan.linkBias(directory.path, "model.gguf");
  SessionOptions options;
  options.populate = true;
  auto session = openToy(plan, directory, options);
  std::vector<int32_t> one = {1};
  EXPECT_EQ((*session->evaluate(one, 0))[1], 6);
}

TEST_F(SessionTest, ArenaTooLarge) {
  plan.plan.arenas[toy::Cache]->bytes = uint64_t(1) << 46;
  auto session = Session::open(plan.write(directory.path));
  ASSERT_FALSE(session);
  EXPECT_NE(session.error().message.find("arenas[2] ('cache'): cannot reserve"), std::string::npos)
      << session.error().message;
}

} // namespace
