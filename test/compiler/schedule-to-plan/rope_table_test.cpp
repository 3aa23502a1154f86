// Rope tables against formulas written down independently, and frequencies of python-tools/gguf_numpy.py.
#include "compiler/schedule-to-plan/rope_table.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/IR/MLIRContext.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace ktc {

class RopeTableTest : public testing::Test {
protected:
  RopeTableTest() { context.loadDialect<model::ModelDialect>(); }

  std::vector<double> frequencies(const std::string &parameters, std::span<const float> factors = {}) {
    mlir::Attribute attr = mlir::parseAttribute("#model.rope<style = \"norm\", " + parameters + ">", &context);
    return ropeFrequencies(mlir::cast<model::RopeAttr>(attr), factors);
  }

  mlir::MLIRContext context;
};

TEST_F(RopeTableTest, PlainAndLinear) {
  std::vector<double> plain = frequencies("dims = 8, base = 1.0e4");
  std::vector<double> linear = frequencies("dims = 8, base = 1.0e4, scaling = \"linear\", factor = 4.0");
  ASSERT_EQ(plain.size(), 4u);
  for (int i = 0; i < 4; ++i) {
    EXPECT_DOUBLE_EQ(plain[i], std::pow(0.1, i));
    EXPECT_DOUBLE_EQ(linear[i], std::pow(0.1, i) / 4);
  }
}

struct Expected {
  size_t pair;
  double frequency;
};

TEST_F(RopeTableTest, YarnOfDeepSeek) {
  std::vector<double> found = frequencies("dims = 64, base = 1.0e4, scaling = \"yarn\", factor = 40.0, "
                                          "original_context = 4096, beta_fast = 32.0, beta_slow = 1.0");
  constexpr Expected expected[] = {{0, 1.0},
                                   {10, 0.056234132519034905},
                                   {11, 0.03900692656714386},
                                   {16, 0.0055},
                                   {22, 0.0001778279410038922},
                                   {23, 3.33380358040831e-05},
                                   {31, 3.3338035804083097e-06}};
  for (Expected e : expected)
    EXPECT_NEAR(found[e.pair] / e.frequency, 1, 1e-12) << e.pair;
}

// gpt-oss: the ramp begins and ends between pairs. Frequencies of the Hugging Face implementation (float32).
TEST_F(RopeTableTest, YarnWithoutWholePairs) {
  std::vector<double> found =
      frequencies("dims = 64, base = 1.5e5, scaling = \"yarn\", factor = 32.0, original_context = 4096, "
                  "beta_fast = 32.0, beta_slow = 1.0, whole_pairs = false");
  constexpr Expected expected[] = {{0, 1},
                                   {8, 0.0508132726},
                                   {9, 0.0317056961},
                                   {13, 0.00386035908},
                                   {17, 0.000129318694},
                                   {18, 3.83088118e-05},
                                   {31, 3.0235114e-07}};
  for (Expected e : expected)
    EXPECT_NEAR(found[e.pair] / e.frequency, 1, 1e-6) << e.pair;
}

TEST_F(RopeTableTest, YarnOfAnotherShape) {
  std::vector<double> found = frequencies("dims = 128, base = 5.0e5, scaling = \"yarn\", factor = 4.0, "
                                          "original_context = 32768, beta_fast = 32.0, beta_slow = 1.0");
  constexpr Expected expected[] = {{0, 1.0},
                                   {23, 0.0089522593361944},
                                   {30, 0.0015983396526839742},
                                   {40, 9.141605855873578e-05},
                                   {50, 8.823069349116808e-06},
                                   {63, 6.137851977829022e-07}};
  for (Expected e : expected)
    EXPECT_NEAR(found[e.pair] / e.frequency, 1, 1e-12) << e.pair;
}

// The formula as the GGUF ecosystem writes it: a mix of extrapolated and interpolated angles per pair.
TEST_F(RopeTableTest, YarnIsAMixOfAngles) {
  const double dims = 64, base = 1e4, factor = 8, context = 2048, fast = 24, slow = 2;
  std::vector<float> factors(32);
  for (size_t i = 0; i < factors.size(); ++i)
    factors[i] = 1 + 0.05f * float(i);
  std::vector<double> found = frequencies("dims = 64, base = 1.0e4, scaling = \"yarn\", factor = 8.0, "
                                          "original_context = 2048, beta_fast = 24.0, beta_slow = 2.0",
                                          factors);
  auto corrDim = [&](double beta) {
    return dims * std::log(context / (beta * 2 * M_PI)) / (2 * std::log(base));
  };
  double low = std::max(0.0, std::floor(corrDim(fast))), high = std::min(dims - 1, std::ceil(corrDim(slow)));
  std::vector<float> row(64);
  for (uint64_t position : {0, 1, 77, 4095}) {
    ropeRows(found, 1.25, position, row);
    for (size_t i = 0; i < 32; ++i) {
      double extrapolated = double(position) * std::pow(base, -2.0 * double(i) / dims) / factors[i];
      double mix = 1 - std::min(1.0, std::max(0.0, (double(i) - low) / std::max(0.001, high - low)));
      double theta = extrapolated / factor * (1 - mix) + extrapolated * mix;
      EXPECT_NEAR(row[2 * i], 1.25 * std::cos(theta), 2e-6) << position << " " << i;
      EXPECT_NEAR(row[2 * i + 1], 1.25 * std::sin(theta), 2e-6) << position << " " << i;
    }
  }
}

TEST_F(RopeTableTest, RowsFollowEachOther) {
  std::vector<double> turns = {0.5, 0.25};
  std::vector<float> together(12), alone(4);
  ropeRows(turns, 1, 5, together);
  for (uint64_t row = 0; row < 3; ++row) {
    ropeRows(turns, 1, 5 + row, alone);
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), together.begin() + 4 * row));
  }
}

} // namespace ktc
