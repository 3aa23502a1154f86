// Which bytes a waiting thread asks for: counted in steps of four lines, since prefetches leave no trace.
#include "runtime/executor/read_ahead.h"

#include <gtest/gtest.h>
#include <random>

using namespace ktrt;

namespace {

constexpr uint64_t kStepBytes = 256, kMostHinted = 256 << 10;

StreamTarget target(uint32_t first, uint32_t count, uint32_t units) {
  StreamTarget target;
  target.first = first;
  target.count = count;
  target.units = units;
  return target;
}

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
    ReadAhead ahead(streams, thread, 4, kMostHinted);
    EXPECT_FALSE(ahead.step()) << "aimed at nothing yet";
    ahead.aim(target(0, 1, 10));
    EXPECT_EQ(stepsOf(ahead, 1), (units[thread] * 1000 + kStepBytes - 1) / kStepBytes);
  }
}

TEST(ReadAhead, StopsAtTheMost) {
  std::vector<WeightStream> streams = {{nullptr, 1 << 20}};
  ReadAhead ahead(streams, 0, 1, kMostHinted);
  ahead.aim(target(0, 1, 100));
  EXPECT_EQ(stepsOf(ahead, 1), ReadAhead::kMostBytes / kStepBytes);
}

TEST(ReadAhead, GoesOnWhereItWas) {
  std::vector<WeightStream> streams = {{nullptr, 1024}, {nullptr, 1024}};
  ReadAhead ahead(streams, 0, 1, kMostHinted);
  ahead.aim(target(0, 1, 2));
  EXPECT_TRUE(ahead.step());
  ahead.aim(target(0, 1, 2));
  EXPECT_EQ(stepsOf(ahead, 1), 7u) << "the first of eight is done";
  ahead.aim(target(1, 1, 2));
  EXPECT_EQ(stepsOf(ahead, 1), 8u) << "another target starts afresh";
}

TEST(ReadAhead, TakesAllMatricesOfADispatch) {
  std::vector<WeightStream> streams = {{nullptr, 512}, {nullptr, 1024}};
  ReadAhead ahead(streams, 0, 1, kMostHinted);
  ahead.aim(target(0, 2, 2));
  EXPECT_EQ(stepsOf(ahead, 2), 4u + 8u);
}

TEST(ReadAhead, HasNothingForAThreadWithoutUnits) {
  std::vector<WeightStream> streams = {{nullptr, 512}};
  ReadAhead ahead(streams, 0, 4, kMostHinted);
  ahead.aim(target(0, 1, 1));
  EXPECT_FALSE(ahead.step());
}

// Experts of two matrices, of which the bytes that are asked for can be told apart by their addresses.
class HintedExperts : public testing::Test {
protected:
  static constexpr uint32_t kUnits = 40, kExperts = 8;
  static constexpr uint64_t kUnitBytes = 512, kExpertBytes = 1 << 16, kGate = 1 << 20, kUp = 1 << 24;

  HintedExperts() {
    hint.count = 2;
    hint.units = kUnits;
    hint.choices = 3;
    hint.experts = kExperts;
    hint.ids = ids;
  }

  // The ranges that a thread of four asks for, in order; none twice in a row.
  std::vector<std::pair<uint64_t, uint64_t>> rangesOf(ReadAhead &ahead) {
    std::vector<std::pair<uint64_t, uint64_t>> ranges;
    ahead.aim(hint);
    do
      if (ahead.rangeEnd() != ahead.rangeBegin() &&
          (ranges.empty() || ranges.back().second != ahead.rangeEnd()))
        ranges.push_back({ahead.rangeBegin(), ahead.rangeEnd()});
    while (ahead.step());
    return ranges;
  }

  static std::pair<uint64_t, uint64_t> share(uint64_t matrix, uint64_t expert, uint64_t begin, uint64_t end) {
    const uint64_t base = matrix + expert * kExpertBytes;
    return {base + begin * kUnitBytes, base + end * kUnitBytes};
  }

  std::vector<WeightStream> streams = {{reinterpret_cast<const uint8_t *>(kGate), kUnitBytes, kExpertBytes},
                                       {reinterpret_cast<const uint8_t *>(kUp), kUnitBytes, kExpertBytes}};
  int32_t ids[3] = {5, 0, 7};
  StreamTarget hint;
};

using Ranges = std::vector<std::pair<uint64_t, uint64_t>>;

TEST_F(HintedExperts, ReadsTheThreadsUnitsOfEveryMatrix) {
  for (uint32_t thread = 0; thread < 4; ++thread) {
    ReadAhead ahead(streams, thread, 4, kMostHinted);
    const uint64_t begin = 10 * thread, end = begin + 10;
    EXPECT_EQ(rangesOf(ahead),
              (Ranges{share(kGate, 5, begin, end), share(kUp, 5, begin, end), share(kGate, 0, begin, end),
                      share(kUp, 0, begin, end), share(kGate, 7, begin, end), share(kUp, 7, begin, end)}));
    EXPECT_EQ(ahead.hintedBytes(), 6 * 10 * kUnitBytes);
  }
}

TEST_F(HintedExperts, TakesNoIdsThatAreNoExperts) {
  for (int32_t bad : {8, -1, INT32_MAX, INT32_MIN}) {
    ids[0] = bad;
    ids[2] = bad;
    ReadAhead ahead(streams, 1, 4, kMostHinted);
    EXPECT_EQ(rangesOf(ahead), (Ranges{share(kGate, 0, 10, 20), share(kUp, 0, 10, 20)})) << bad;
  }
}

TEST_F(HintedExperts, StaysInTheWeightsWhateverTheHintSays) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    for (int32_t &id : ids)
      id = random() % 2 ? int32_t(random()) : int32_t(random() % (2 * kExperts)) - int32_t(kExperts) / 2;
    ReadAhead ahead(streams, i % 4, 4, kMostHinted);
    ahead.aim(hint);
    do {
      if (ahead.rangeBegin() == ahead.rangeEnd())
        continue;
      const uint64_t matrix = ahead.rangeBegin() < kUp ? kGate : kUp;
      ASSERT_GE(ahead.rangeBegin(), matrix);
      ASSERT_LE(ahead.rangeEnd(), matrix + (kExperts - 1) * kExpertBytes + kUnits * kUnitBytes);
      ids[random() % 3] = int32_t(random()); // the other lane writes meanwhile
    } while (ahead.step());
  }
}

TEST_F(HintedExperts, StopsAtTheMostOfAllTogether) {
  constexpr uint64_t most = 25 * kUnitBytes + 64;
  ReadAhead ahead(streams, 0, 4, most);
  EXPECT_EQ(rangesOf(ahead), (Ranges{share(kGate, 5, 0, 10),
                                     share(kUp, 5, 0, 10),
                                     {share(kGate, 0, 0, 5).first, share(kGate, 0, 0, 5).second + 64}}));
  EXPECT_EQ(ahead.hintedBytes(), most);
  EXPECT_FALSE(ahead.step());
}

TEST_F(HintedExperts, GoesOnInTheNextWait) {
  ReadAhead ahead(streams, 0, 4, kMostHinted);
  ahead.aim(hint);
  EXPECT_TRUE(ahead.step());
  const uint64_t there = ahead.rangeBegin();
  ids[0] = 1; // what has begun goes on
  ahead.aim(hint);
  EXPECT_EQ(ahead.rangeBegin(), there);
  EXPECT_EQ(ahead.hintedBytes(), kStepBytes);
}

} // namespace
