// The thread team under stress: barriers, parking, restarts, more threads than CPUs.
#include "runtime/cpu/team.h"

#include <csignal>
#include <gtest/gtest.h>
#include <numeric>
#include <thread>

using namespace ktrt;

namespace {

Team::Options optionsFor(uint32_t threads, uint32_t spinMicros) {
  Team::Options options;
  options.cpus.resize(threads);
  std::iota(options.cpus.begin(), options.cpus.end(), 0);
  options.pin = false; // tests run beside each other
  options.spinMicros = spinMicros;
  return options;
}

// Each round every thread adds its number to its own cell, and after a barrier reads its neighbour's.
struct Ring {
  Team *team;
  std::vector<std::atomic<uint32_t>> cells;
  uint32_t rounds;
  std::atomic<uint32_t> mistakes{0};

  Ring(Team *team, uint32_t rounds) : team(team), cells(team->threads()), rounds(rounds) {}

  static void run(void *context, uint32_t thread) {
    Ring &ring = *static_cast<Ring *>(context);
    uint32_t threads = ring.team->threads();
    for (uint32_t round = 1; round <= ring.rounds; ++round) {
      ring.cells[thread].store(round, std::memory_order_relaxed);
      ring.team->barrier(thread);
      if (ring.cells[(thread + 1) % threads].load(std::memory_order_relaxed) != round)
        ++ring.mistakes;
      ring.team->barrier(thread);
    }
  }
};

class TeamTest : public testing::TestWithParam<std::tuple<uint32_t, uint32_t, bool>> {};

TEST_P(TeamTest, BarriersSeparateRounds) {
  auto [threads, spin, callerWorks] = GetParam();
  Team::Options options = optionsFor(threads, spin);
  options.callerWorks = callerWorks;
  auto team = Team::start(options);
  ASSERT_TRUE(team) << team.error().message;
  ASSERT_EQ((*team)->threads(), threads);
  Ring ring(team->get(), 20);
  for (int run = 0; run < 5; ++run) {
    (*team)->run(Ring::run, &ring);
    for (auto &cell : ring.cells)
      EXPECT_EQ(cell.load(), 20u) << "run returns when all threads are done";
  }
  EXPECT_EQ(ring.mistakes.load(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Sizes, TeamTest,
                         testing::Combine(testing::Values(1, 2, 3, 9, 20), testing::Values(0, 50),
                                          testing::Bool()));

// Long pauses let every worker park between runs and inside barriers.
TEST(Team, ParksAndWakes) {
  auto team = Team::start(optionsFor(4, 10));
  ASSERT_TRUE(team);
  struct Context {
    Team *team;
    std::atomic<int> calls{0};
  } context{team->get(), {}};
  for (int run = 0; run < 20; ++run) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    (*team)->run(
        [](void *argument, uint32_t thread) {
          Context &context = *static_cast<Context *>(argument);
          if (thread == 2)
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
          context.team->barrier(thread);
          ++context.calls;
        },
        &context);
    EXPECT_EQ(context.calls.load(), 4 * (run + 1));
  }
}

TEST(Team, AnIdleTeamUsesNoCpu) {
  auto team = Team::start(optionsFor(4, 100));
  ASSERT_TRUE(team);
  (*team)->run([](void *, uint32_t) {}, nullptr);
  std::this_thread::sleep_for(std::chrono::milliseconds(50)); // spinning is over by now
  clock_t before = clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_LT(double(clock() - before) / CLOCKS_PER_SEC, 0.05);
}

// Whoever waits calls the function until it is done; the barrier still separates what lies around it.
TEST(Team, WaitersAreIdleUntilAllHaveArrived) {
  struct Shared {
    Team *team;
    std::atomic<uint32_t> arrived{0}, calls{0}, early{0};
  };
  auto team = Team::start(optionsFor(3, 0));
  ASSERT_TRUE(team);
  Shared shared{team->get()};
  (*team)->run(
      [](void *context, uint32_t thread) {
        auto &shared = *static_cast<Shared *>(context);
        if (thread == 1) // arrives last
          while (shared.calls.load() < 20)
            std::this_thread::yield();
        ++shared.arrived;
        shared.team->barrier(thread, [&] { return ++shared.calls < 100000; });
        shared.early += shared.arrived.load() != 3;
      },
      &shared);
  EXPECT_GE(shared.calls.load(), 20u);
  EXPECT_EQ(shared.early.load(), 0u);
}

TEST(Team, StartsAndStopsOften) {
  for (int i = 0; i < 50; ++i) {
    auto team = Team::start(optionsFor(1 + i % 5, 0));
    ASSERT_TRUE(team);
    std::atomic<int> calls{0};
    if (i % 2)
      (*team)->run([](void *calls, uint32_t) { ++*static_cast<std::atomic<int> *>(calls); }, &calls);
    EXPECT_EQ(calls.load(), i % 2 ? 1 + i % 5 : 0);
  }
}

TEST(Team, WorkersLeaveSignalsToTheApplication) {
  auto team = Team::start(optionsFor(3, 0));
  ASSERT_TRUE(team);
  std::atomic<int> blocked{0};
  (*team)->run(
      [](void *blocked, uint32_t thread) {
        sigset_t set;
        pthread_sigmask(SIG_SETMASK, nullptr, &set);
        if (thread != 0 && sigismember(&set, SIGINT) == 1)
          ++*static_cast<std::atomic<int> *>(blocked);
      },
      &blocked);
  EXPECT_EQ(blocked.load(), 2);
  sigset_t set;
  pthread_sigmask(SIG_SETMASK, nullptr, &set);
  EXPECT_EQ(sigismember(&set, SIGINT), 0) << "the caller's own mask is as before";
}

TEST(Team, PinsAndRestoresTheCaller) {
  cpu_set_t before, during, after;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  uint32_t first = 0;
  while (!CPU_ISSET(first, &before))
    ++first;
  {
    Team::Options options;
    options.cpus = {first, first};
    options.pinCaller = true;
    auto team = Team::start(options);
    ASSERT_TRUE(team);
    ASSERT_EQ(sched_getaffinity(0, sizeof(during), &during), 0);
    EXPECT_EQ(CPU_COUNT(&during), 1);
    EXPECT_TRUE(CPU_ISSET(first, &during));
  }
  ASSERT_EQ(sched_getaffinity(0, sizeof(after), &after), 0);
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
}

TEST(Team, RefusesImpossibleSizes) {
  EXPECT_EQ(Team::start({}).error().message, "cannot run 0 threads: expected 1 to 1024");
  EXPECT_FALSE(Team::start(optionsFor(1025, 0)));
}

} // namespace
