// The arithmetic of perplexity against values worked out by hand.
#include "runtime/api/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

using namespace ktrt::api;

TEST(NegativeLogLikelihood, UniformLogitsGiveLogOfVocabulary) {
  std::vector<float> logits(4096, 3.5f);
  EXPECT_NEAR(negativeLogLikelihood(logits.data(), logits.size(), 17), std::log(4096.0), 1e-12);
}

TEST(NegativeLogLikelihood, KnownDistribution) {
  // Probabilities 0.5, 0.25, 0.25.
  std::vector<float> logits = {std::log(2.0f), 0, 0};
  EXPECT_NEAR(negativeLogLikelihood(logits.data(), 3, 0), std::log(2.0), 1e-7);
  EXPECT_NEAR(negativeLogLikelihood(logits.data(), 3, 2), std::log(4.0), 1e-7);
}

TEST(NegativeLogLikelihood, HugeLogitsDoNotOverflow) {
  std::vector<float> logits = {3e38f, 0, -3e38f};
  EXPECT_EQ(negativeLogLikelihood(logits.data(), 3, 0), 0);
  EXPECT_NEAR(negativeLogLikelihood(logits.data(), 3, 2) / 6e38, 1, 1e-6);
}

TEST(NegativeLogLikelihood, KeepsSmallProbabilitiesOfLargeVocabularies) {
  // 150000 terms of e^-20 beside one of 1: single precision would lose them one by one.
  std::vector<float> logits(150001, -20.0f);
  logits[0] = 0;
  EXPECT_NEAR(negativeLogLikelihood(logits.data(), logits.size(), 0), std::log1p(150000 * std::exp(-20.0)),
              1e-9);
}

TEST(NegativeLogLikelihood, NanShows) {
  std::vector<float> logits = {0, std::numeric_limits<float>::quiet_NaN()};
  EXPECT_TRUE(std::isnan(negativeLogLikelihood(logits.data(), 2, 0)));
}

TEST(PerplexitySum, EmptyIsZero) {
  PerplexitySum sum;
  EXPECT_EQ(sum.perplexity(), 0);
  EXPECT_EQ(sum.uncertainty(), 0);
}

TEST(PerplexitySum, MeanAndSpread) {
  PerplexitySum sum;
  sum.add(1);
  sum.add(3);
  EXPECT_EQ(sum.count(), 2u);
  EXPECT_NEAR(sum.perplexity(), std::exp(2.0), 1e-12);
  // The variance is 1, so the standard error of the mean of two is 1.
  EXPECT_NEAR(sum.uncertainty(), std::exp(2.0), 1e-12);
}

TEST(PerplexitySum, EqualValuesHaveNoSpread) {
  PerplexitySum sum;
  for (int i = 0; i < 1000; ++i)
    sum.add(2.9);
  EXPECT_NEAR(sum.perplexity(), std::exp(2.9), 1e-9);
  EXPECT_LT(sum.uncertainty(), 1e-6);
}
