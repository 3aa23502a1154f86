// Several lanes in one plan: signals between them, and a lane that waits in vain.
#include "runtime/executor/lane.h"
#include "runtime/executor/session.h"
#include "test/runtime/plan/toy_plan.h"

#include <gtest/gtest.h>
#include <thread>

using namespace ktrt;

namespace {

// Moves the head of decode_1 to a second CPU lane: lane 0 raises signal 0 after the body, lane 1 computes the
// logits and raises signal 1, for which lane 0 waits.
void splitDecode(toy::Plan &plan) {
  plan.plan.lanes.push_back(std::make_unique<plan::LaneT>());
  plan.plan.lanes[1]->name = "second";
  plan::EntryT &entry = *plan.plan.entries[toy::Decode1];
  entry.signals = 2;
  entry.programs.push_back(std::make_unique<plan::LaneProgramT>());
  auto &first = entry.programs[0]->commands, &second = entry.programs[1]->commands;
  entry.programs[1]->lane = 1;
  second.push_back(std::make_unique<plan::CommandT>(toy::wait(0)));
  second.push_back(std::move(first[3]));
  second.push_back(std::move(first[4]));
  second.push_back(std::make_unique<plan::CommandT>(toy::signal(1, true)));
  first.resize(3);
  first.push_back(std::make_unique<plan::CommandT>(toy::signal(0, true)));
  first.push_back(std::make_unique<plan::CommandT>(toy::wait(1)));
}

class Lanes : public testing::TestWithParam<uint32_t> {};

TEST_P(Lanes, TwoTeamsHandOver) {
  toy::TemporaryDirectory directory;
  toy::Plan plan;
  splitDecode(plan);
  SessionOptions options;
  options.threads = GetParam();
  options.pinThreads = false; // more threads than CPUs: let the system arrange them
  auto session = Session::open(plan.write(directory.path), options);
  ASSERT_TRUE(session) << session.error().message;
  std::vector<int32_t> tokens(toy::kContext, 3);
  for (int round = 0; round < 3; ++round)
    for (uint32_t i = 0; i < toy::kContext; ++i) {
      auto logits = (*session)->evaluate(std::span(tokens).subspan(i, 1), i);
      ASSERT_TRUE(logits) << logits.error().message;
      for (uint32_t v = 0; v < toy::kVocab; ++v)
        ASSERT_EQ((*logits)[v], toy::expectedLogit(tokens, i, v));
    }
}

INSTANTIATE_TEST_SUITE_P(Threads, Lanes, testing::Values(1, 2, 4, 6));

// A signal that is late fails the replay; nothing hangs, and the session can be used again.
TEST(LateSignal, FailsTheReplay) {
  toy::TemporaryDirectory directory;
  toy::Plan plan;
  splitDecode(plan);
  SessionOptions options;
  options.threads = 2;
  options.pinThreads = false;
  options.spinMicros = 0;
  options.signalTimeoutMillis = 0;
  auto session = Session::open(plan.write(directory.path), options);
  ASSERT_TRUE(session) << session.error().message;
  std::vector<int32_t> one = {1};
  std::string message;
  for (int i = 0; i < 1000 && message.empty(); ++i) {
    auto logits = (*session)->evaluate(one, 0);
    if (!logits)
      message = logits.error().message;
  }
  EXPECT_EQ(message.find("entry 'decode_1', lane '"), 0u) << message;
  EXPECT_NE(message.find("did not come from another lane within 0 ms"), std::string::npos) << message;
  EXPECT_EQ((*session)->kvLength(), 0u);
  std::vector<int32_t> prompt = {1, 2, 3};
  EXPECT_TRUE((*session)->evaluate(prompt, 0)) << "entries without signals work";
}

TEST(SignalTable, TimesOut) {
  SignalTable signals(2);
  EXPECT_FALSE(signals.wait(1, 1, 1000, 2'000'000));
  signals.raise(1, 1);
  EXPECT_TRUE(signals.wait(1, 1, 1000, 2'000'000));
  EXPECT_FALSE(signals.wait(1, 2, 1000, 2'000'000)) << "a signal of an earlier replay does not count";
}

TEST(SignalTable, WakesASleeper) {
  SignalTable signals(1);
  std::thread raiser([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    signals.raise(0, 7);
  });
  EXPECT_TRUE(signals.wait(0, 7, 0, 10'000'000'000));
  raiser.join();
}

} // namespace
