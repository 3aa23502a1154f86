// Open units are taken once each, by whatever threads, in every replay.
#include "runtime/executor/open_units.h"

#include "runtime/executor/work_split.h"

#include <gtest/gtest.h>
#include <thread>
#include <vector>

using namespace ktrt;

TEST(OpenUnits, EndOfTheShare) {
  EXPECT_EQ(openUnits(0), 0u);
  EXPECT_EQ(openUnits(1), 1u);
  EXPECT_EQ(openUnits(12), 2u);
  EXPECT_EQ(openUnits(13), 3u);
}

TEST(OpenUnits, HalfAShareOfManyInWholeGrains) {
  EXPECT_EQ(openUnitsOfMany(512, 64), 256u);
  EXPECT_EQ(openUnitsOfMany(100, 12), 48u);
  EXPECT_EQ(openUnitsOfMany(3, 2), 0u);
}

TEST(WorkSplit, SharesFollowEachOther) {
  for (uint64_t total : {0ull, 1ull, 3ull, 16ull, 192ull, 4294967295ull})
    for (uint32_t threads : {1u, 3u, 16u, 1024u}) {
      uint32_t end = 0;
      for (uint32_t thread = 0; thread < threads; ++thread) {
        const UnitRange share = shareOf(total, thread, threads);
        ASSERT_EQ(share.begin, end);
        ASSERT_LE(share.end - share.begin, total / threads + 1);
        end = share.end;
      }
      ASSERT_EQ(end, total);
    }
}

TEST(OpenUnits, GrainsEndWithTheShare) {
  OpenUnits units(2, 3);
  uint32_t begin = 0, next = 0;
  ASSERT_TRUE(units.take(1, 2, 7, 10, 15, 3, begin, next));
  EXPECT_EQ(begin, 10u);
  EXPECT_EQ(next, 13u);
  ASSERT_TRUE(units.take(1, 2, 7, 10, 15, 3, begin, next));
  EXPECT_EQ(begin, 13u);
  EXPECT_EQ(next, 15u);
  EXPECT_FALSE(units.take(1, 2, 7, 10, 15, 3, begin, next));
  // Other commands, owners and replays are untouched.
  EXPECT_TRUE(units.take(0, 2, 7, 10, 15, 3, begin, next));
  EXPECT_TRUE(units.take(1, 1, 7, 10, 15, 3, begin, next));
  ASSERT_TRUE(units.take(1, 2, 8, 10, 15, 3, begin, next));
  EXPECT_EQ(begin, 10u);
}

TEST(OpenUnits, EachUnitOnce) {
  constexpr uint32_t threads = 4, share = 1000, first = 400;
  OpenUnits units(1, threads);
  for (uint32_t replay = 1; replay <= 20; ++replay) {
    std::vector<std::atomic<int>> taken(threads * share);
    std::vector<std::thread> team;
    for (uint32_t t = 0; t < threads; ++t)
      team.emplace_back([&, t] {
        uint32_t begin, next;
        for (uint32_t i = 0; i < threads; ++i) {
          const uint32_t owner = (t + i) % threads;
          while (units.take(0, owner, replay, owner * share + first, (owner + 1) * share, 1 + t, begin, next))
            for (uint32_t unit = begin; unit < next; ++unit)
              ++taken[unit];
        }
      });
    for (std::thread &thread : team)
      thread.join();
    for (uint32_t unit = 0; unit < threads * share; ++unit)
      ASSERT_EQ(taken[unit], unit % share >= first ? 1 : 0) << "unit " << unit << ", replay " << replay;
  }
}
