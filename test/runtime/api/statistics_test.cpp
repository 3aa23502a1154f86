// Order statistics of benchmark repetitions, and the read-bandwidth measurement.
#include "runtime/api/bandwidth.h"
#include "runtime/api/statistics.h"
#include "runtime/cpu/topology.h"

#include <gtest/gtest.h>

using namespace ktrt::api;
using ktrt::readTopology;
using ktrt::teamCpus;

TEST(Summarize, NothingMeasured) {
  KtrtRate rate = summarize({});
  EXPECT_EQ(rate.min, 0);
  EXPECT_EQ(rate.median, 0);
  EXPECT_EQ(rate.max, 0);
}

TEST(Summarize, OneValue) {
  KtrtRate rate = summarize({5});
  EXPECT_EQ(rate.min, 5);
  EXPECT_EQ(rate.median, 5);
  EXPECT_EQ(rate.max, 5);
}

TEST(Summarize, OddCountTakesTheMiddle) {
  KtrtRate rate = summarize({9, 1, 4});
  EXPECT_EQ(rate.min, 1);
  EXPECT_EQ(rate.median, 4);
  EXPECT_EQ(rate.max, 9);
}

TEST(Summarize, EvenCountTakesTheMeanOfTheMiddleTwo) { EXPECT_EQ(summarize({10, 2, 4, 1}).median, 3); }

TEST(ReadBandwidth, IsPlausible) {
  auto meter = ReadMeter::create(teamCpus(readTopology(), 2), 64 << 20);
  ASSERT_TRUE(meter) << meter.error().message;
  for (int i = 0; i < 2; ++i) {
    const double rate = meter->measure(2);
    EXPECT_GT(rate, 1e8);  // slower than any machine that could run this
    EXPECT_LT(rate, 1e14); // faster than any cache: the loop was optimised away
  }
}

TEST(ReadBandwidth, RefusesBuffersThatCannotBe) { EXPECT_FALSE(ReadMeter::create({0}, uint64_t(1) << 60)); }
