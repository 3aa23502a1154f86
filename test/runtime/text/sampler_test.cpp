// Sampling: each step alone, determinism, and logits that are not numbers.
#include "runtime/text/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <map>
#include <numeric>
#include <random>

namespace ktrt {
namespace {

// Everything off but the draw at temperature 1.
SamplingParams plain(uint64_t seed = 1) {
  return {
      .temperature = 1, .topK = 0, .topP = 1, .minP = 0, .repeatPenalty = 1, .repeatLastN = 0, .seed = seed};
}

std::map<int32_t, int> histogram(const SamplingParams &params, const std::vector<float> &logits, int n) {
  Sampler sampler(params);
  std::map<int32_t, int> counts;
  for (int i = 0; i < n; ++i)
    ++counts[sampler.sample(logits)];
  return counts;
}

TEST(RandomGenerator, IsTheSpecifiedSequence) {
  // xoshiro256** after splitmix64 with seed 0: fixes the sequence for every platform.
  RandomGenerator random(0);
  EXPECT_EQ(random.next(), 0x99EC5F36CB75F2B4ull);
  EXPECT_EQ(random.next(), 0xBF6E1F784956452Aull);
  for (int i = 0; i < 1000; ++i) {
    double u = random.nextUnit();
    EXPECT_GE(u, 0.0);
    EXPECT_LT(u, 1.0);
  }
}

TEST(Sampler, GreedyTakesTheFirstBest) {
  SamplingParams params = plain();
  params.temperature = 0;
  EXPECT_EQ(Sampler(params).sample(std::vector<float>{1, 3, 3, 2}), 1);
  params.temperature = -1;
  EXPECT_EQ(Sampler(params).sample(std::vector<float>{1, 3, 3, 2}), 1);
}

TEST(Sampler, DrawsInProportion) {
  // Probabilities 0.6, 0.3, 0.1.
  auto counts = histogram(plain(), {std::log(0.6f), std::log(0.3f), std::log(0.1f)}, 20000);
  EXPECT_NEAR(counts[0] / 20000.0, 0.6, 0.015);
  EXPECT_NEAR(counts[1] / 20000.0, 0.3, 0.015);
  EXPECT_NEAR(counts[2] / 20000.0, 0.1, 0.015);
}

TEST(Sampler, TemperatureFlattens) {
  SamplingParams params = plain();
  params.temperature = 2; // square roots of 0.8 and 0.2: 2/3 and 1/3
  auto counts = histogram(params, {std::log(0.8f), std::log(0.2f)}, 20000);
  EXPECT_NEAR(counts[0] / 20000.0, 2.0 / 3, 0.015);
}

TEST(Sampler, FiltersKeepWhatTheyShould) {
  const std::vector<float> logits = {std::log(0.1f), std::log(0.5f), std::log(0.3f), std::log(0.1f)};
  SamplingParams params = plain();
  params.topK = 2;
  auto counts = histogram(params, logits, 500);
  EXPECT_EQ(counts.count(0) + counts.count(3), 0u);
  EXPECT_EQ(counts.size(), 2u);
  params = plain();
  params.topP = 0.7f; // 0.5 is not enough, 0.5 + 0.3 is
  EXPECT_EQ(histogram(params, logits, 500).size(), 2u);
  params = plain();
  params.minP = 0.5f; // 0.3 / 0.5 passes, 0.1 / 0.5 does not
  EXPECT_EQ(histogram(params, logits, 500).size(), 2u);
  params.minP = 0.9f;
  EXPECT_EQ(histogram(params, logits, 500).size(), 1u);
  params.topP = 0; // never empty
  EXPECT_EQ(histogram(params, logits, 10).size(), 1u);
}

TEST(Sampler, FiltersIgnoreTheTemperature) {
  SamplingParams params = plain();
  params.temperature = 100;
  params.minP = 0.5f;
  auto counts = histogram(params, {std::log(0.5f), std::log(0.3f), std::log(0.2f)}, 500);
  EXPECT_EQ(counts.count(2), 0u);
}

TEST(Sampler, RepetitionPenaltyLooksAtRecentTokens) {
  SamplingParams params = plain();
  params.temperature = 0;
  params.repeatPenalty = 2;
  params.repeatLastN = 2;
  Sampler sampler(params);
  const std::vector<float> logits = {3, 2, -1};
  EXPECT_EQ(sampler.sample(logits), 0);
  sampler.accept(0);
  EXPECT_EQ(sampler.sample(logits), 1); // 3 / 2 < 2
  sampler.accept(1);
  EXPECT_EQ(sampler.sample(logits), 0); // 1.5 > 1
  sampler.accept(2);                    // token 0 has left the window
  EXPECT_EQ(sampler.sample(logits), 0);
  sampler.reset();
  EXPECT_EQ(sampler.sample(logits), 0);
  sampler.accept(-5); // outside the vocabulary: no effect
  sampler.accept(1000);
  EXPECT_EQ(sampler.sample(logits), 0);
}

TEST(Sampler, SameSeedSameTokens) {
  std::vector<float> logits(1000);
  for (size_t i = 0; i < logits.size(); ++i)
    logits[i] = float(i * 7919 % 1000) / 100;
  SamplingParams params; // the defaults
  params.seed = 42;
  auto run = [&](uint64_t seed) {
    params.seed = seed;
    Sampler sampler(params);
    std::vector<int32_t> out;
    for (int i = 0; i < 50; ++i)
      out.push_back(sampler.sample(logits));
    return out;
  };
  EXPECT_EQ(run(42), run(42));
  EXPECT_NE(run(42), run(43));
}

// What a GPU would pick out of `logits`.
struct Best {
  std::vector<int32_t> ids;
  std::vector<float> values;
  BestLogits best;

  Best(const std::vector<float> &logits, size_t count) : ids(logits.size()) {
    std::iota(ids.begin(), ids.end(), 0);
    std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
    float sum = 0;
    for (float logit : logits)
      sum += std::exp(logit - logits[ids[0]]);
    ids.resize(count);
    for (int32_t id : ids)
      values.push_back(logits[id]);
    best = {ids, values, sum, uint32_t(logits.size())};
  }
};

// Random logits in steps, so that many are equal.
std::vector<float> steppedLogits(std::mt19937 &random, size_t count, float spread) {
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> logits(count);
  for (float &logit : logits)
    logit = std::round(normal(random) * 16) / 16;
  return logits;
}

// Draws 40 tokens twice, from the best logits where they are enough and from all of them. Returns how often
// they were enough; 0 after a difference.
int compareWithAll(const SamplingParams &params, size_t count, float spread, std::vector<int32_t> forbidden) {
  std::mt19937 random(uint32_t(params.seed));
  Sampler fromAll(params), fromBest(params);
  int enough = 0;
  for (int i = 0; i < 40; ++i) {
    std::vector<float> logits = steppedLogits(random, 2000, spread), masked = logits;
    for (int32_t id : forbidden)
      masked[size_t(id)] = -INFINITY;
    const int32_t expected = fromAll.sample(masked);
    const std::optional<int32_t> best = fromBest.sampleBest(Best(logits, count).best, forbidden);
    enough += best.has_value();
    const int32_t token = best ? *best : fromBest.sample(masked);
    EXPECT_EQ(token, expected) << "step " << i << ", " << (best ? "best" : "all");
    if (token != expected)
      return 0;
    fromAll.accept(token);
    fromBest.accept(token);
  }
  return enough;
}

TEST(SamplerBest, SameTokensAsFromAll) {
  uint64_t seed = 1;
  for (float temperature : {0.0f, 0.7f, 1.5f})
    for (int32_t topK : {0, 1, 40, 64, 300})
      for (float topP : {0.5f, 0.95f, 1.0f})
        for (float minP : {0.0f, 0.05f})
          for (float penalty : {1.0f, 1.3f, 0.8f})
            for (float spread : {0.5f, 3.0f})
              for (const std::vector<int32_t> &forbidden : {std::vector<int32_t>{}, {3, 500, 501, 1999}}) {
                const SamplingParams params{temperature, topK, topP, minP, penalty, 64, ++seed};
                compareWithAll(params, 64, spread, forbidden);
                if (HasFailure())
                  FAIL() << "temperature " << temperature << " top-k " << topK << " top-p " << topP << " min-p "
                         << minP << " penalty " << penalty << " spread " << spread;
              }
}

TEST(SamplerBest, IsEnoughForUsualSettings) {
  SamplingParams params; // the defaults: 40 best
  EXPECT_EQ(compareWithAll(params, 64, 0.5f, {}), 40);
  EXPECT_EQ(compareWithAll(params, 64, 0.5f, {3, 500}), 40);
  params.repeatPenalty = 1.1f;
  EXPECT_EQ(compareWithAll(params, 128, 3.0f, {}), 40);
  params.temperature = 0;
  params.topK = 0;
  EXPECT_EQ(compareWithAll(params, 64, 3.0f, {}), 40);
  SamplingParams nucleus = plain();
  nucleus.topP = 0.5f;
  EXPECT_GT(compareWithAll(nucleus, 64, 3.0f, {}), 30) << "decided by the sum of all";
  EXPECT_EQ(compareWithAll(nucleus, 64, 0.01f, {}), 0) << "too flat";
  SamplingParams share = plain();
  share.minP = 0.2f;
  EXPECT_GT(compareWithAll(share, 64, 3.0f, {}), 30);
  EXPECT_EQ(compareWithAll(plain(), 2000, 1.0f, {}), 40) << "these are all";
}

TEST(SamplerBest, SaysWhenItIsNotEnough) {
  std::mt19937 random(7);
  const std::vector<float> logits = steppedLogits(random, 500, 2.0f);
  const Best best(logits, 32);
  auto chooses = [&](SamplingParams params, const BestLogits &from) {
    Sampler sampler(params);
    sampler.accept(1);
    return sampler.sampleBest(from, {}).has_value();
  };
  SamplingParams params; // keeps 40
  EXPECT_FALSE(chooses(params, best.best));
  params.topK = 32;
  EXPECT_TRUE(chooses(params, best.best));
  params.repeatPenalty = 0.5f;
  EXPECT_FALSE(chooses(params, best.best)) << "may lift any token";
  params.repeatPenalty = 1;
  EXPECT_FALSE(chooses(params, {}));
  BestLogits damaged = best.best;
  damaged.vocabulary = 1;
  EXPECT_FALSE(chooses(params, damaged)) << "ids outside the vocabulary";
  std::vector<float> infinite = best.values;
  infinite[0] = INFINITY;
  damaged = {best.ids, infinite, best.best.sum, 500};
  EXPECT_FALSE(chooses(params, damaged));
  EXPECT_FALSE(chooses(plain(), best.best));
}

TEST(Sampler, SurvivesNonNumbers) {
  const float nan = NAN, inf = INFINITY;
  for (float temperature : {0.0f, 1.0f, nan, inf, 1e-30f}) {
    SamplingParams params;
    params.temperature = temperature;
    Sampler sampler(params);
    EXPECT_EQ(sampler.sample(std::vector<float>{nan, 1.0f, nan}), 1);
    EXPECT_EQ(sampler.sample(std::vector<float>{-inf, nan}), -1);
    EXPECT_EQ(sampler.sample(std::vector<float>{}), -1);
    int32_t id = sampler.sample(std::vector<float>{0, inf, nan, -FLT_MAX});
    EXPECT_TRUE(id == 1 || std::isinf(temperature)) << temperature;
  }
  SamplingParams params;
  params.topP = params.minP = params.repeatPenalty = nan;
  Sampler sampler(params);
  sampler.accept(0);
  EXPECT_GE(sampler.sample(std::vector<float>{1, 2, 3}), 0);
}

} // namespace
} // namespace ktrt
