// Which bytes a waiting thread asks for: counted in steps of four lines, since prefetches leave no trace.
#include "runtime/executor/read_ahead.h"

#include <gtest/gtest.h>

using namespace ktrt;

namespace {

constexpr uint64_t kStepBytes = 256;

// Steps until there is nothing left, without those that only go on to the next matrix.
uint64_t stepsOf(ReadAhead &ahead, uint32_t matrices) {
  uint64_t steps = 0;
  while (ahead.step() && steps < 100000)
    ++steps;
  return steps - (matrices - 1);
}

// 10 units of 1000 bytes on 4 threads: 2, 3, 2 and 3 units.
TEST(ReadAhead, TakesTheThreadsShare) {
  std::vector<WeightStream> streams = {{nullptr, 1000}};
  const uint64_t units[] = {2, 3, 2, 3};
  for (uint32_t thread = 0; thread < 4; ++thread) {
    ReadAhead ahead(streams, thread, 4);
    EXPECT_FALSE(ahead.step()) << "aimed at nothing yet";
    ahead.aim({0, 1, 10});
    EXPECT_EQ(stepsOf(ahead, 1), (units[thread] * 1000 + kStepBytes - 1) / kStepBytes);
  }
}

TEST(ReadAhead, StopsAtTheMost) {
  std::vector<WeightStream> streams = {{nullptr, 1 << 20}};
  ReadAhead ahead(streams, 0, 1);
  ahead.aim({0, 1, 100});
  EXPECT_EQ(stepsOf(ahead, 1), ReadAhead::kMostBytes / kStepBytes);
}

TEST(ReadAhead, GoesOnWhereItWas) {
  std::vector<WeightStream> streams = {{nullptr, 1024}, {nullptr, 1024}};
  ReadAhead ahead(streams, 0, 1);
  ahead.aim({0, 1, 2});
  EXPECT_TRUE(ahead.step());
  ahead.aim({0, 1, 2});
  EXPECT_EQ(stepsOf(ahead, 1), 7u) << "the first of eight is done";
  ahead.aim({1, 1, 2});
  EXPECT_EQ(stepsOf(ahead, 1), 8u) << "another target starts afresh";
}

TEST(ReadAhead, TakesAllMatricesOfADispatch) {
  std::vector<WeightStream> streams = {{nullptr, 512}, {nullptr, 1024}};
  ReadAhead ahead(streams, 0, 1);
  ahead.aim({0, 2, 2});
  EXPECT_EQ(stepsOf(ahead, 2), 4u + 8u);
}

TEST(ReadAhead, HasNothingForAThreadWithoutUnits) {
  std::vector<WeightStream> streams = {{nullptr, 512}};
  ReadAhead ahead(streams, 0, 4);
  ahead.aim({0, 1, 1});
  EXPECT_FALSE(ahead.step());
}

} // namespace
